Feature: Tracing
  Every record names the purchase that it belongs to, and its immediate cause. The tree is read from the topics alone.

  Scenario: Correlation, causation, path and W3C trace are kept through every hop
    Given Restock {"count": 1} is sent to stock "ladder"
    When PlaceOrder {"items": ["ladder", "stilts"], "address": "Elm 6", "seconds_to_pay": 600} is sent to order "o-601" in purchase "p-601" with the id "c-601" within the trace "4bf92f3577b34da6a3ce929d0e0e4736"
    And the fact PaymentReceived {"amount": 5} is stated of order "o-601" in purchase "p-601" as "bank-601"
    Then the commands of stock "stilts" are
      | type        | cause               | purchase | path     | trace                            |
      | ReserveItem | /main/order/o-601:0 | p-601    | picking> | 4bf92f3577b34da6a3ce929d0e0e4736 |
    And the rejections of order "o-601" are
      | command     | cause                         | purchase | trace                            |
      | ReserveItem | /main/order/o-601:0>picking/1 | p-601    | 4bf92f3577b34da6a3ce929d0e0e4736 |
    And the events of order "o-601" are
      | type            | cause                                   | purchase | path     | trace                            |
      | OrderPlaced     | c-601                                   | p-601    | none     | 4bf92f3577b34da6a3ce929d0e0e4736 |
      | ItemUnavailable | rejection//main/order/o-601:0>picking/1 | p-601    | picking> | 4bf92f3577b34da6a3ce929d0e0e4736 |
      | OrderPaid       |                                         | p-601    | none     | none                             |
    And the events of fulfilment "p-601" are, in any order
      | type              | cause                | purchase | trace                            |
      | FulfilmentStarted | /main/order/o-601:0  | p-601    | 4bf92f3577b34da6a3ce929d0e0e4736 |
      | ReservationSeen   | /main/stock/ladder:1 | p-601    | 4bf92f3577b34da6a3ce929d0e0e4736 |
      | PaymentSeen       | /main/order/o-601:2  | p-601    | none                             |
      | ShippingAsked     | /main/order/o-601:2  | p-601    | none                             |
      | FulfilmentEnded   | /main/parcel/o-601:0 | p-601    | none                             |
    And the events of parcel "o-601" are
      | type          | cause                            | purchase | path        |
      | ParcelShipped | /main/order/o-601:2>fulfilment/0 | p-601    | fulfilment> |

  Scenario: Without a correlation of its own, a command begins one
    When OrderExtra {"extra": "card", "text": "hello"} is sent to order "o-602" with the id "c-602"
    Then the trace of purchase "c-602" is
      """
      command order o-602: OrderExtra
        event order o-602: ExtraOrdered
          command workshop o-602: MakeExtra
            event workshop o-602: ExtraMade
      """

  Scenario: The tree shows refusals, their compensation, and a reaction to it
    Given Restock {"count": 1} is sent to stock "compass"
    When PlaceOrder {"items": ["compass", "sextant"]} is sent to order "o-603" in purchase "p-603"
    And OrderExtra {"extra": "card", "text": "sorry"} is sent to order "o-603" in purchase "p-603"
    And OrderExtra {"extra": "card", "text": "not of this purchase"} is sent to order "o-603"
    Then the trace of purchase "p-603" is
      """
      command order o-603: PlaceOrder
        event order o-603: OrderPlaced
          command stock compass: ReserveItem
            event stock compass: ItemReserved
              event fulfilment p-603: ReservationSeen
          command stock sextant: ReserveItem
            rejection order o-603: headrace.v1.Rejection  (aggregate:stock sextant refused shop.v1.ReserveItem: none is left)
              event order o-603: ItemUnavailable
      command order o-603: OrderExtra
        event order o-603: ExtraOrdered
          command workshop o-603: MakeExtra
            event workshop o-603: ExtraMade
      """

  Scenario: The tree shows dead letters, and what became of them
    Given saga "extras" is broken for "o-604"
    When OrderExtra {"extra": "card", "text": "hello"} is sent to order "o-604" in purchase "p-604"
    Then the trace of purchase "p-604" is
      """
      command order o-604: OrderExtra
        event order o-604: ExtraOrdered
          dead letter extras o-604: headrace.v1.DeadLetter  (saga:extras: Breakdown: extras is broken)
      """
    When saga "extras" is repaired for "o-604"
    And the dead letter of saga "extras" for "o-604" is replayed
    Then the trace of purchase "p-604" is
      """
      command order o-604: OrderExtra
        event order o-604: ExtraOrdered
          dead letter extras o-604: headrace.v1.DeadLetter  (replayed; saga:extras: Breakdown: extras is broken)
          command workshop o-604: MakeExtra
            event workshop o-604: ExtraMade
      """

  Scenario: The tree shows facts, what a process manager asks, and its refused commands
    Given Restock {"count": 1} is sent to stock "ship in a bottle"
    And PlaceOrder {"items": ["ship in a bottle"], "seconds_to_pay": 600} is sent to order "o-605" in purchase "p-605"
    When the fact PaymentReceived {"amount": 5} is stated of order "o-605" in purchase "p-605" as "bank-605"
    Then the trace of purchase "p-605" is
      """
      command order o-605: PlaceOrder
        event order o-605: OrderPlaced
          event fulfilment p-605: FulfilmentStarted
          command stock ship in a bottle: ReserveItem
            event stock ship in a bottle: ItemReserved
              event fulfilment p-605: ReservationSeen
      fact order o-605: PaymentReceived
        event order o-605: OrderPaid  (fact bank-605)
          command order o-605: headrace.v1.Query
          event fulfilment p-605: PaymentSeen
          event fulfilment p-605: ShippingAsked
          command parcel o-605: ShipParcel
            rejection fulfilment p-605: headrace.v1.Rejection  (aggregate:parcel o-605 refused shop.v1.ShipParcel: there is no address)
              event fulfilment p-605: ShippingRefused
              command order o-605: CancelOrder
                event order o-605: OrderCancelled
                  event fulfilment p-605: FulfilmentEnded
      """

  Scenario: The tree shows a time-out and what it led to
    Given PlaceOrder {"items": ["anchor"], "seconds_to_pay": 1} is sent to order "o-606" in purchase "p-606"
    When 2 seconds pass
    Then the trace of purchase "p-606" is
      """
      command order o-606: PlaceOrder
        event order o-606: OrderPlaced
          event fulfilment p-606: FulfilmentStarted
          command stock anchor: ReserveItem
            rejection order o-606: headrace.v1.Rejection  (none is left)
              event order o-606: ItemUnavailable
      time-out fulfilment p-606: PaymentOverdue
        event fulfilment p-606: PaymentMissed
        command order o-606: CancelOrder
          event order o-606: OrderCancelled
            event fulfilment p-606: FulfilmentEnded
      """

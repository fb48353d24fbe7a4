Feature: Process managers
  A process manager has a state and events of its own. Its root is the correlation id, here the purchase.
  Fulfilment ships an order that is reserved and paid, and cancels one that is not paid in time. It watches orders
  that have seconds to pay.

  Scenario: It gathers the events of several domains by their correlation
    Given Restock {"count": 1} is sent to stock "mirror"
    And PlaceOrder {"items": ["mirror"], "address": "Elm 1", "seconds_to_pay": 600} is sent to order "o-201" in purchase "p-201"
    And PlaceOrder {"items": ["mirror"], "address": "Elm 2", "seconds_to_pay": 600} is sent to order "o-202" in purchase "p-202"
    When the fact PaymentReceived {"amount": 5} is stated of order "o-201" in purchase "p-201" as "bank-201"
    Then the events of fulfilment "p-201" are, in any order
      | type              | data                                      | cause                | purchase |
      | FulfilmentStarted | {"order": "o-201"}                        | /main/order/o-201:0  | p-201    |
      | ReservationSeen   | {}                                        | /main/stock/mirror:1 | p-201    |
      | PaymentSeen       | {}                                        | /main/order/o-201:1  | p-201    |
      | ShippingAsked     | {"address": "Elm 1", "order_sequence": 1} | /main/order/o-201:1  | p-201    |
      | FulfilmentEnded   | {}                                        | /main/parcel/o-201:0 | p-201    |
    And the events of parcel "o-201" are
      | type          | data                 | cause                            | purchase | path        |
      | ParcelShipped | {"address": "Elm 1"} | /main/order/o-201:1>fulfilment/0 | p-201    | fulfilment> |
    And the events of fulfilment "p-202" are
      | type              | data               |
      | FulfilmentStarted | {"order": "o-202"} |
    And parcel "o-202" has no commands

  Scenario: It finds the states that it needs, with the sequence at which they were read
    Given Restock {"count": 1} is sent to stock "clock"
    And PlaceOrder {"items": ["clock"], "address": "Elm 3", "seconds_to_pay": 600} is sent to order "o-203" in purchase "p-203"
    And OrderExtra {"extra": "card", "text": "hello"} is sent to order "o-203"
    And OrderExtra {"extra": "ribbon", "text": "red"} is sent to order "o-203"
    When the fact PaymentReceived {"amount": 5} is stated of order "o-203" in purchase "p-203" as "bank-203"
    Then the commands of parcel "o-203" are
      | type       | data                 | id                               |
      | ShipParcel | {"address": "Elm 3"} | /main/order/o-203:3>fulfilment/0 |
    And the events of fulfilment "p-203" are, in any order
      | type              | data                                      |
      | FulfilmentStarted | {"order": "o-203"}                        |
      | ReservationSeen   | {}                                        |
      | PaymentSeen       | {}                                        |
      | ShippingAsked     | {"address": "Elm 3", "order_sequence": 3} |
      | FulfilmentEnded   | {}                                        |

  Scenario: An event that comes twice is handled once
    Given PlaceOrder {"items": ["rug"], "seconds_to_pay": 600} is sent to order "o-204" in purchase "p-204"
    When the last event of order "o-204" is delivered again
    Then the events of fulfilment "p-204" are
      | type              | data               |
      | FulfilmentStarted | {"order": "o-204"} |

  Scenario: A time-out comes once, and not too early
    Given PlaceOrder {"items": ["sofa"], "seconds_to_pay": 2} is sent to order "o-205" in purchase "p-205"
    When 4 seconds pass
    Then the events of fulfilment "p-205" are
      | type              | data               |
      | FulfilmentStarted | {"order": "o-205"} |
      | PaymentMissed     | {}                 |
      | FulfilmentEnded   | {}                 |
    And PaymentMissed of fulfilment "p-205" came at least 2 seconds after OrderPlaced of order "o-205"
    And the commands of order "o-205" are
      | type        | data                           |
      | PlaceOrder  |                                |
      | CancelOrder | {"reason": "not paid in time"} |

  Scenario: A time-out that was cancelled never comes
    Given PlaceOrder {"items": ["drum"], "seconds_to_pay": 4} is sent to order "o-206" in purchase "p-206"
    And the fact PaymentReceived {"amount": 5} is stated of order "o-206" in purchase "p-206" as "bank-206"
    And the figures as they are now
    When 5 seconds pass
    Then the events of fulfilment "p-206" are
      | type              | data               |
      | FulfilmentStarted | {"order": "o-206"} |
      | PaymentSeen       | {}                 |
    And process manager "fulfilment" has counted 0 more as timeouts
    And process manager "fulfilment" has counted 0 more as ignored

  Scenario: A time-out of a process that is finished is ignored and counted
    Given PlaceOrder {"items": ["harp"], "seconds_to_pay": 4} is sent to order "o-207" in purchase "p-207"
    And CancelOrder {"reason": "changed my mind"} is sent to order "o-207" in purchase "p-207"
    And the figures as they are now
    When 5 seconds pass
    Then the events of fulfilment "p-207" are
      | type              | data               |
      | FulfilmentStarted | {"order": "o-207"} |
      | FulfilmentEnded   | {}                 |
    And process manager "fulfilment" has counted 1 more as ignored
    And process manager "fulfilment" has counted 0 more as timeouts

  Scenario: Events of a process wait behind a dead one, those of others do not
    Given process manager "fulfilment" is broken for "p-208"
    And PlaceOrder {"items": ["flute"], "seconds_to_pay": 600} is sent to order "o-208" in purchase "p-208"
    And the fact PaymentReceived {"amount": 5} is stated of order "o-208" in purchase "p-208" as "bank-208"
    And CancelOrder {"reason": "takes too long"} is sent to order "o-208" in purchase "p-208"
    And PlaceOrder {"items": ["flute"], "seconds_to_pay": 600} is sent to order "o-209" in purchase "p-209"
    Then fulfilment "p-208" has no events
    And the events of fulfilment "p-209" are
      | type              | data               |
      | FulfilmentStarted | {"order": "o-209"} |
    And the dead letters of process manager "fulfilment" for "o-208" are
      | type        | input   | error class | error says           | outcome |
      | OrderPlaced | o-208:0 | Breakdown   | fulfilment is broken | open    |
    When process manager "fulfilment" is repaired for "p-208"
    And the dead letter of process manager "fulfilment" for "o-208" is replayed
    Then the events of fulfilment "p-208" are
      | type              | data               |
      | FulfilmentStarted | {"order": "o-208"} |
      | PaymentSeen       | {}                 |
      | FulfilmentEnded   | {}                 |

Feature: Compensation
  The refusal of a saga's command comes back to the root whose event it was sent for, which puts things right. The
  notice itself is on no event log.

  Scenario: The source answers a refusal with events
    Given PlaceOrder {"items": ["globe"]} is sent to order "o-401" in purchase "p-401"
    Then the rejections of order "o-401" are
      | command     | refused by            | reason       | id                                      | cause                         | purchase |
      | ReserveItem | aggregate:stock globe | none is left | rejection//main/order/o-401:0>picking/0 | /main/order/o-401:0>picking/0 | p-401    |
    And the events of order "o-401" are
      | type            | data                                                         | cause                                   | purchase |
      | OrderPlaced     | {"order": "o-401", "items": ["globe"]}                       |                                         | p-401    |
      | ItemUnavailable | {"item": "globe", "reason": "none is left", "ordered_in": 0} | rejection//main/order/o-401:0>picking/0 | p-401    |
    And stock "globe" has no events
    And aggregate "order" has no dead letters for "o-401"
    And aggregate "stock" has no dead letters for "globe"
    And no rejection is on an event log

  Scenario: A refusal that is delivered again is compensated once
    Given OrderExtra {"extra": "card", "text": "hello"} is sent to order "o-402"
    And PlaceOrder {"items": ["canoe"]} is sent to order "o-402"
    When the last rejection of order "o-402" is delivered again
    Then order "o-402" has 2 rejections
    And the events of order "o-402" are
      | type            | data                                                         |
      | ExtraOrdered    |                                                              |
      | OrderPlaced     |                                                              |
      | ItemUnavailable | {"item": "canoe", "reason": "none is left", "ordered_in": 1} |

  # ---- flags, which a source may answer instead; the order does for these codes

  Scenario: Revoke declares what was done void
    Given CloseItem {"code": "discontinued", "reason": "no longer made"} is sent to stock "gramophone"
    And OrderExtra {"extra": "card", "text": "hello"} is sent to order "o-404"
    When PlaceOrder {"items": ["gramophone"]} is sent to order "o-404"
    Then the events of order "o-404" are
      | type                | data                                                                                                |
      | ExtraOrdered        |                                                                                                     |
      | OrderPlaced         |                                                                                                     |
      | headrace.v1.Revoked | {"sequence": 1, "reason": "aggregate:stock gramophone refused shop.v1.ReserveItem: no longer made"} |
    And aggregate "order" has no dead letters for "o-404"

  Scenario: Dead-letter keeps the refusal for a person
    Given CloseItem {"code": "miscounted", "reason": "to be counted anew"} is sent to stock "marbles"
    When PlaceOrder {"items": ["marbles"]} is sent to order "o-405"
    Then order "o-405" has 1 event
    And the dead letters of aggregate "order" for "o-405" are
      | type                  | error class   | error says                                                              | outcome |
      | headrace.v1.Rejection | Uncompensated | aggregate:stock marbles refused shop.v1.ReserveItem: to be counted anew | open    |
    And the dead letter of aggregate "order" for "o-405" holds its input whole

  Scenario: Escalate tells a person besides
    Given CloseItem {"code": "recalled", "reason": "it catches fire"} is sent to stock "toaster"
    When PlaceOrder {"items": ["toaster"]} is sent to order "o-406" in purchase "p-406"
    Then a person is told of the escalations for "o-406"
      | command     | refused by              | reason          | purchase |
      | ReserveItem | aggregate:stock toaster | it catches fire | p-406    |
    And the dead letters of aggregate "order" for "o-406" are
      | type                  | error class   | error says                                                                      |
      | headrace.v1.Rejection | Uncompensated | escalates: aggregate:stock toaster refused shop.v1.ReserveItem: it catches fire |
    And order "o-406" has 1 event

  Scenario: Abort ends what sagas do for the root
    Given CloseItem {"code": "embargoed", "reason": "not to be sold"} is sent to stock "cannon"
    And PlaceOrder {"items": ["cannon"]} is sent to order "o-407"
    When OrderExtra {"extra": "card", "text": "boom"} is sent to order "o-407"
    Then it is accepted
    And the events of order "o-407" are
      | type                | data                                                                             |
      | OrderPlaced         |                                                                                  |
      | headrace.v1.Aborted | {"reason": "aggregate:stock cannon refused shop.v1.ReserveItem: not to be sold"} |
      | ExtraOrdered        | {"extra": "card", "text": "boom"}                                                |
    And workshop "o-407" has no commands
    And the dead letters of saga "extras" for "o-407" are
      | type                | error class     | error says        | outcome |
      | headrace.v1.Aborted | WorkflowAborted | o-407 was aborted | open    |
    When the dead letter of saga "extras" for "o-407" is discarded
    Then the commands of workshop "o-407" are
      | type      | data                              |
      | MakeExtra | {"extra": "card", "text": "boom"} |

  # ---- without a handler the saga's cascade mode decides; nobody compensates extras, and none is made without a text

  Scenario: Without a handler, the refusal is kept at its source by default
    When OrderExtra {"extra": "insurance"} is sent to order "o-408"
    Then the dead letters of aggregate "order" for "o-408" are
      | type                  | error class   | error says                        | outcome |
      | headrace.v1.Rejection | Uncompensated | compensates no shop.v1.MakeExtra; | open    |
    And aggregate "workshop" has no dead letters for "o-408"
    And order "o-408" has 1 event

  Scenario: Without a handler, continue counts it and goes on
    Given the figures as they are now
    When OrderExtra {"extra": "card"} is sent to order "o-409"
    Then the rejections of order "o-409" are
      | command   | refused by               | reason            |
      | MakeExtra | aggregate:workshop o-409 | card needs a text |
    And aggregate "order" has counted 1 more as compensations
    And aggregate "order" has no dead letters for "o-409"
    And aggregate "workshop" has no dead letters for "o-409"
    And order "o-409" has 1 event

  Scenario: Dead-letter keeps the refused command as well, where it was refused
    When OrderExtra {"extra": "wrapping"} is sent to order "o-410"
    Then the dead letters of aggregate "workshop" for "o-410" are
      | type      | input                          | error class | error says            |
      | MakeExtra | /main/order/o-410:0>wrapping/0 | Rejected    | wrapping needs a text |
    And the dead letters of aggregate "order" for "o-410" are
      | type                  | error class   | error says                        |
      | headrace.v1.Rejection | Uncompensated | compensates no shop.v1.MakeExtra; |
    And order "o-410" has 1 event

  Scenario: Fail-fast aborts the source
    Given OrderExtra {"extra": "engraving"} is sent to order "o-411"
    When OrderExtra {"extra": "card", "text": "too late"} is sent to order "o-411"
    Then the events of order "o-411" are
      | type                | data                                                                                     |
      | ExtraOrdered        | {"extra": "engraving"}                                                                   |
      | headrace.v1.Aborted | {"reason": "aggregate:workshop o-411 refused shop.v1.MakeExtra: engraving needs a text"} |
      | ExtraOrdered        | {"extra": "card", "text": "too late"}                                                    |
    And the commands of workshop "o-411" are
      | type      | data                   |
      | MakeExtra | {"extra": "engraving"} |

  # ---- a process manager comes before the source of the event

  Scenario: A process manager that compensates is told, and nobody else
    Given Restock {"count": 1} is sent to stock "piano"
    And PlaceOrder {"items": ["piano"], "seconds_to_pay": 600} is sent to order "o-412" in purchase "p-412"
    When the fact PaymentReceived {"amount": 5} is stated of order "o-412" in purchase "p-412" as "bank-412"
    Then the events of fulfilment "p-412" are, in any order
      | type              | data                              | cause                                                   |
      | FulfilmentStarted | {"order": "o-412"}                |                                                         |
      | ReservationSeen   | {}                                |                                                         |
      | PaymentSeen       | {}                                |                                                         |
      | ShippingAsked     | {"order_sequence": 1}             |                                                         |
      | ShippingRefused   | {"reason": "there is no address"} | /main/parcel/rejection//main/order/o-412:1>fulfilment/0 |
      | FulfilmentEnded   | {}                                |                                                         |
    And the events of order "o-412" are
      | type           | data                                           |
      | OrderPlaced    |                                                |
      | OrderPaid      | {"amount": 5}                                  |
      | OrderCancelled | {"reason": "not shipped: there is no address"} |
    And order "o-412" has no rejections
    And no rejection is on an event log

  Scenario: A process manager that does not leaves it to the source of the event
    Given Restock {"count": 1} is sent to stock "tent"
    When PlaceOrder {"items": ["tent"], "seconds_to_pay": 600, "sample": "rope"} is sent to order "o-413" in purchase "p-413"
    Then the rejections of order "o-413" are
      | command     | refused by           | reason       | purchase |
      | ReserveItem | aggregate:stock rope | none is left | p-413    |
    And the events of order "o-413" are
      | type            | data                                                        | purchase |
      | OrderPlaced     |                                                             | p-413    |
      | ItemUnavailable | {"item": "rope", "reason": "none is left", "ordered_in": 0} | p-413    |
    And process manager "fulfilment" has no dead letters for "p-413"

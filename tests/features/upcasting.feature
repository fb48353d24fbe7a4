Feature: Upcasting
  Events are never rewritten. What an older release has written is lifted into the events of today each time that it is
  read. The shop has a past: its stock once counted crates, then boxes; a gift had an event of its own; and payments were
  noted in whole coins, not in hundredths.

  Scenario: A chain of upcasters leads from the oldest type to today's
    Given an older release has written of stock "horn"
      | type            | data          |
      | CratesDelivered | {"crates": 2} |
      | BoxesUnloaded   | {"boxes": 1}  |
    When ReserveItem {"order": "o-901"} is sent to stock "horn"
    Then it is accepted
    And the history of stock "horn" is
      | sequence | type         | data                           |
      | 0        | Restocked    | {"count": 48}                  |
      | 1        | Restocked    | {"count": 6}                   |
      | 2        | ItemReserved | {"order": "o-901", "left": 53} |

  Scenario: Events of today pass unchanged, and so do unknown ones, since the full name decides
    Given an older release has written of stock "cornett"
      | type      | data         |
      | Restocked | {"count": 2} |
    And an older release has written of stock "crumhorn"
      | type                         | data          |
      | warehouse.v1.CratesDelivered | {"crates": 2} |
    When ReserveItem {"order": "o-902"} is sent to stock "cornett"
    Then the last one is accepted
    And the history of stock "cornett" is
      | sequence | type         | data                          |
      | 0        | Restocked    | {"count": 2}                  |
      | 1        | ItemReserved | {"order": "o-902", "left": 1} |
    When ReserveItem {"order": "o-902"} is sent to stock "crumhorn"
    Then the last one has failed because "no @applies method for warehouse.v1.CratesDelivered, which the log holds as event 0 of crumhorn"

  Scenario: One event may become several or none; their order and its sequence stay
    Given an older release has written of stock "lute"
      | type          | data                                       |
      | BoxesUnloaded | {"boxes": 2}                               |
      | ItemsCounted  | {"note": "all there"}                      |
      | ItemsMoved    | {"boxes": 1, "code": "moved", "to": "attic"} |
    When ReserveItem {"order": "o-903"} is sent to stock "lute"
    Then the last one is rejected because "it is in the attic"
    And the history of stock "lute" is
      | sequence | type       | data                                              |
      | 0        | Restocked  | {"count": 12}                                     |
      | 2        | Restocked  | {"count": 6}                                      |
      | 2        | ItemClosed | {"code": "moved", "reason": "it is in the attic"} |

  Scenario: An upcaster that fails fails the command, and nothing else
    Given an older release has written of stock "dulcian"
      | type            | data           |
      | BoxesUnloaded   | {"boxes": 1}   |
      | CratesDelivered | {"crates": -1} |
    When Restock {"count": 1} is sent to stock "dulcian"
    Then the last one has failed because "StocksPast.crates cannot lift event 1 of dulcian, shop.v1.CratesDelivered: ValueError: nobody delivers -1 crates"
    And the dead letters of aggregate "stock" for "dulcian" are
      | type    | error class  | error says       | outcome |
      | Restock | UpcastFailed | event 1 of dulcian, | open    |
    When Restock {"count": 1} is sent to stock "harmonica"
    Then the last one is accepted

  Scenario: Where there are no events, no upcaster is called
    When Restock {"count": 1} is sent to stock "celesta"
    Then it is accepted
    And the history of stock "celesta" is
      | sequence | type      | data         |
      | 0        | Restocked | {"count": 1} |

  Scenario: What is stored stays as it was written
    Given an older release has written of order "o-904"
      | type      | data          |
      | OrderPaid | {"amount": 3} |
    When the fact PaymentReceived {"amount": 50} is stated of order "o-904" as "bank-904"
    Then it is accepted
    And the events of order "o-904" are
      | type      | data           | sequence | version |
      | OrderPaid | {"amount": 3}  | 0        | 1       |
      | OrderPaid | {"amount": 50} | 1        | 2       |
    And the history of order "o-904" is
      | sequence | type      | data            |
      | 0        | OrderPaid | {"amount": 300} |
      | 1        | OrderPaid | {"amount": 50}  |

  Scenario: Sagas and projectors read the events of today too
    Given an older release has written of order "o-905"
      | type        | data             |
      | GiftOrdered | {"text": "well"} |
      | OrderPaid   | {"amount": 2}    |
    Then the commands of workshop "o-905" are
      | type      | data                              | cause               |
      | MakeExtra | {"extra": "card", "text": "well"} | /main/order/o-905:0 |
    And document "o-905" of projector "order-pages-v1" is {"items": [], "extras": ["well"], "paid": 200}

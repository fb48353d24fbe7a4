Feature: Projections
  A projector keeps documents that follow events. Each of its versions has a topic of its own for them, whose key is the
  document. Order pages has a document per order, for as long as it is not cancelled; demand has one per item, of the
  events of orders and stocks.

  Scenario: A document follows the events of its root
    Given Restock {"count": 1} is sent to stock "gong"
    When PlaceOrder {"items": ["gong"]} is sent to order "o-701" in purchase "p-701"
    Then document "o-701" of projector "order-pages-v1" is {"items": ["gong"], "extras": [], "paid": 0}
    When OrderExtra {"extra": "card", "text": "well"} is sent to order "o-701" in purchase "p-701"
    And the fact PaymentReceived {"amount": 80} is stated of order "o-701" as "bank-701"
    Then document "o-701" of projector "order-pages-v1" is {"items": ["gong"], "extras": ["well"], "paid": 80}
    And projector "order-pages-v1" has written document "o-701" because of
      | id                        | cause               | purchase |
      | /main/order/o-701:0>o-701 | /main/order/o-701:0 | p-701    |
      | /main/order/o-701:1>o-701 | /main/order/o-701:1 | p-701    |
      | /main/order/o-701:2>o-701 | /main/order/o-701:2 |          |
    And projector "order-pages-v1" has no dead letters for "o-701"

  Scenario: An event concerns as many documents as it names, each once
    When PlaceOrder {"items": ["dulcimer", "fife", "dulcimer"]} is sent to order "o-702"
    And PlaceOrder {"items": ["fife"]} is sent to order "o-703"
    Then document "dulcimer" of projector "demand-v1" is {"ordered": 1, "reserved": 0}
    And document "fife" of projector "demand-v1" is {"ordered": 2, "reserved": 0}

  Scenario: A document may follow the events of several domains
    Given Restock {"count": 1} is sent to stock "harpsichord"
    When PlaceOrder {"items": ["harpsichord"]} is sent to order "o-704"
    And PlaceOrder {"items": ["harpsichord"]} is sent to order "o-705"
    Then document "harpsichord" of projector "demand-v1" is {"ordered": 2, "reserved": 1}

  Scenario: An event that names no document changes none
    When PlaceOrder {"items": []} is sent to order "o-706"
    Then document "o-706" of projector "order-pages-v1" is {"items": [], "extras": [], "paid": 0}
    And projector "demand-v1" has no dead letters for "o-706"
    And projector "demand-v1-feed" has no dead letters for "o-706"

  Scenario: A document is deleted, and begins anew
    Given OrderExtra {"extra": "card", "text": "loud"} is sent to order "o-707"
    When CancelOrder {"reason": "too loud"} is sent to order "o-707"
    Then projector "order-pages-v1" has no document "o-707"
    And projector "order-pages-v1" has written document "o-707" because of
      | id                        |
      | /main/order/o-707:0>o-707 |
      | /main/order/o-707:1>o-707 |
    When OrderExtra {"extra": "card", "text": "sorry"} is sent to order "o-707"
    Then document "o-707" of projector "order-pages-v1" is {"items": [], "extras": ["sorry"], "paid": 0}

  Scenario: A poisoned event parks its document, and others go on
    Given OrderExtra {"extra": "card", "text": "before"} is sent to order "o-708"
    And projector "order-pages-v1" is broken for "o-708"
    When OrderExtra {"extra": "card", "text": "first"} is sent to order "o-708"
    And OrderExtra {"extra": "card", "text": "second"} is sent to order "o-708"
    And OrderExtra {"extra": "card", "text": "other"} is sent to order "o-709"
    Then document "o-708" of projector "order-pages-v1" is {"items": [], "extras": ["before"], "paid": 0}
    And document "o-709" of projector "order-pages-v1" is {"items": [], "extras": ["other"], "paid": 0}
    And the dead letters of projector "order-pages-v1" for "o-708" are
      | type         | input   | error class | error says               | attempts | outcome |
      | ExtraOrdered | o-708:1 | Breakdown   | order-pages-v1 is broken | 1        | open    |
    And the dead letter of projector "order-pages-v1" for "o-708" holds its input whole

  Scenario: A replay heals a document in the order of its events
    Given projector "order-pages-v1" is broken for "o-710"
    And OrderExtra {"extra": "card", "text": "first"} is sent to order "o-710"
    And OrderExtra {"extra": "card", "text": "second"} is sent to order "o-710"
    When projector "order-pages-v1" is repaired for "o-710"
    And OrderExtra {"extra": "card", "text": "third"} is sent to order "o-710"
    Then projector "order-pages-v1" has no document "o-710"
    When the dead letter of projector "order-pages-v1" for "o-710" is replayed twice
    And OrderExtra {"extra": "card", "text": "fourth"} is sent to order "o-710"
    Then document "o-710" of projector "order-pages-v1" is {"items": [], "extras": ["first", "second", "third", "fourth"], "paid": 0}
    And the dead letters of projector "order-pages-v1" for "o-710" are
      | input   | outcome  |
      | o-710:0 | replayed |

  Scenario: A discarded event is skipped, and those behind it go on
    Given projector "order-pages-v1" is broken for "o-711"
    And OrderExtra {"extra": "card", "text": "first"} is sent to order "o-711"
    And OrderExtra {"extra": "card", "text": "second"} is sent to order "o-711"
    When projector "order-pages-v1" is repaired for "o-711"
    And the dead letter of projector "order-pages-v1" for "o-711" is discarded
    Then document "o-711" of projector "order-pages-v1" is {"items": [], "extras": ["second"], "paid": 0}

  Scenario: An event that is dead in one document is not in the others
    Given projector "demand-v1" is broken for "clavichord"
    When PlaceOrder {"items": ["clavichord", "balalaika"]} is sent to order "o-712"
    And PlaceOrder {"items": ["clavichord", "balalaika"]} is sent to order "o-713"
    Then document "balalaika" of projector "demand-v1" is {"ordered": 2, "reserved": 0}
    And projector "demand-v1" has no document "clavichord"
    And the dead letters of projector "demand-v1" for "o-712" are
      | type        | input   | error class | error says          | outcome |
      | OrderPlaced | o-712:0 | Breakdown   | demand-v1 is broken | open    |
    And projector "demand-v1" has no dead letters for "o-713"
    When projector "demand-v1" is repaired for "clavichord"
    And the dead letter of projector "demand-v1" for "o-712" is replayed
    Then document "clavichord" of projector "demand-v1" is {"ordered": 2, "reserved": 0}
    And document "balalaika" of projector "demand-v1" is {"ordered": 2, "reserved": 0}

  Scenario: An event whose documents cannot be named is dead in the feed
    When PlaceOrder {"items": ["ocarina", ""]} is sent to order "o-714"
    Then projector "demand-v1" has no document "ocarina"
    And the dead letters of projector "demand-v1-feed" for "o-714" are
      | type        | input   | error class  | error says                                | outcome |
      | OrderPlaced | o-714:0 | HandlerError | a document's name has 1 to 1024 bytes     | open    |

  @deployed
  Scenario: Documents of another type are refused under the same version
    Given PlaceOrder {"items": ["zither"]} is sent to order "o-715"
    Then a worker with "widened" in place of the shop is refused because "order-pages-v1: its documents were made by another declaration"
    When OrderExtra {"extra": "card", "text": "still"} is sent to order "o-715"
    Then document "o-715" of projector "order-pages-v1" is {"items": ["zither"], "extras": ["still"], "paid": 0}

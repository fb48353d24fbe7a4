Feature: Dead letters
  What cannot be handled is kept whole, and waits for a person who replays or discards it.

  Scenario: Behind a dead event those of its root wait, and follow in order when it is replayed
    Given saga "extras" is broken for "o-501"
    And OrderExtra {"extra": "card", "text": "first"} is sent to order "o-501"
    And OrderExtra {"extra": "card", "text": "second"} is sent to order "o-501"
    And OrderExtra {"extra": "ribbon", "text": "third"} is sent to order "o-501"
    And OrderExtra {"extra": "card", "text": "other"} is sent to order "o-502"
    Then workshop "o-501" has no commands
    And workshop "o-502" has 1 event
    And the dead letters of saga "extras" for "o-501" are
      | type         | input   | error class | error says       | attempts | outcome |
      | ExtraOrdered | o-501:0 | Breakdown   | extras is broken | 1        | open    |
    And the dead letter of saga "extras" for "o-501" holds its input whole
    When saga "extras" is repaired for "o-501"
    And OrderExtra {"extra": "card", "text": "fourth"} is sent to order "o-501"
    Then workshop "o-501" has no commands
    When the dead letter of saga "extras" for "o-501" is replayed
    And OrderExtra {"extra": "card", "text": "fifth"} is sent to order "o-501"
    Then the events of workshop "o-501" are
      | type      | data                                 | cause                        |
      | ExtraMade | {"extra": "card", "text": "first"}   | /main/order/o-501:0>extras/0 |
      | ExtraMade | {"extra": "card", "text": "second"}  | /main/order/o-501:1>extras/0 |
      | ExtraMade | {"extra": "ribbon", "text": "third"} | /main/order/o-501:2>extras/0 |
      | ExtraMade | {"extra": "card", "text": "fourth"}  | /main/order/o-501:3>extras/0 |
      | ExtraMade | {"extra": "card", "text": "fifth"}   | /main/order/o-501:4>extras/0 |
    And the dead letters of saga "extras" for "o-501" are
      | input   | outcome  |
      | o-501:0 | replayed |

  Scenario: A discarded event is skipped, and those behind it go on
    Given saga "extras" is broken for "o-503"
    And OrderExtra {"extra": "card", "text": "first"} is sent to order "o-503"
    And OrderExtra {"extra": "card", "text": "second"} is sent to order "o-503"
    When saga "extras" is repaired for "o-503"
    And the dead letter of saga "extras" for "o-503" is discarded
    Then the events of workshop "o-503" are
      | type      | data                                |
      | ExtraMade | {"extra": "card", "text": "second"} |
    And the dead letters of saga "extras" for "o-503" are
      | input   | outcome   |
      | o-503:0 | discarded |

  Scenario: A replay done twice is done once
    Given saga "extras" is broken for "o-504"
    And OrderExtra {"extra": "card", "text": "first"} is sent to order "o-504"
    And OrderExtra {"extra": "card", "text": "second"} is sent to order "o-504"
    When saga "extras" is repaired for "o-504"
    And the dead letter of saga "extras" for "o-504" is replayed twice
    Then the commands of workshop "o-504" are
      | type      | data                                | id                           |
      | MakeExtra | {"extra": "card", "text": "first"}  | /main/order/o-504:0>extras/0 |
      | MakeExtra | {"extra": "card", "text": "second"} | /main/order/o-504:1>extras/0 |

  Scenario: A replay that fails again keeps its place, with one more attempt
    Given saga "extras" is broken for "o-505"
    And OrderExtra {"extra": "card", "text": "first"} is sent to order "o-505"
    And OrderExtra {"extra": "card", "text": "second"} is sent to order "o-505"
    When the dead letter of saga "extras" for "o-505" is replayed
    Then workshop "o-505" has no commands
    And the dead letters of saga "extras" for "o-505" are
      | input   | attempts | outcome |
      | o-505:0 | 2        | open    |
    When saga "extras" is repaired for "o-505"
    And the dead letter of saga "extras" for "o-505" is replayed
    Then the events of workshop "o-505" are
      | type      | data                                |
      | ExtraMade | {"extra": "card", "text": "first"}  |
      | ExtraMade | {"extra": "card", "text": "second"} |

  Scenario: Commands do not wait for one that failed; replayed, it is decided once
    Given Restock {"count": 5} is sent to stock "easel"
    And aggregate "stock" is broken for "easel"
    And PlaceOrder {"items": ["easel"]} is sent to order "o-507"
    When aggregate "stock" is repaired for "easel"
    And PlaceOrder {"items": ["easel"]} is sent to order "o-508"
    Then the events of stock "easel" are
      | type         | data                          |
      | Restocked    |                               |
      | ItemReserved | {"order": "o-508", "left": 4} |
    And the dead letters of aggregate "stock" for "easel" are
      | type        | input                         | error class | error says      | outcome |
      | ReserveItem | /main/order/o-507:0>picking/0 | Breakdown   | stock is broken | open    |
    When the dead letter of aggregate "stock" for "easel" is replayed twice
    Then the events of stock "easel" are
      | type         | data                          | cause                         |
      | Restocked    |                               |                               |
      | ItemReserved | {"order": "o-508", "left": 4} |                               |
      | ItemReserved | {"order": "o-507", "left": 3} | /main/order/o-507:0>picking/0 |
    And the dead letters of aggregate "stock" for "easel" are
      | input                         | outcome  |
      | /main/order/o-507:0>picking/0 | replayed |

  Scenario: A command that is discarded is not decided
    Given Restock {"count": 5} is sent to stock "hammock"
    And aggregate "stock" is broken for "hammock"
    And PlaceOrder {"items": ["hammock"]} is sent to order "o-509"
    When aggregate "stock" is repaired for "hammock"
    And the dead letter of aggregate "stock" for "hammock" is discarded
    Then the events of stock "hammock" are
      | type      |
      | Restocked |
    And the dead letters of aggregate "stock" for "hammock" are
      | input                         | outcome   |
      | /main/order/o-509:0>picking/0 | discarded |

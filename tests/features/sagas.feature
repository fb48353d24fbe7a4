Feature: Sagas
  A saga turns events of one domain into commands for others and keeps no state.
  Picking has each item of an order reserved; extras has a card, a ribbon or a magazine made by the workshop.

  Scenario: An event becomes a command of another domain
    Given Restock {"count": 3} is sent to stock "anvil"
    When PlaceOrder {"items": ["anvil"]} is sent to order "o-101" in purchase "p-101"
    Then all are accepted
    And the events of order "o-101" are
      | type        | data                                   |
      | OrderPlaced | {"order": "o-101", "items": ["anvil"]} |
    And the commands of stock "anvil" are
      | type        | data               | id                            | cause               | purchase |
      | Restock     | {"count": 3}       |                               |                     |          |
      | ReserveItem | {"order": "o-101"} | /main/order/o-101:0>picking/0 | /main/order/o-101:0 | p-101    |
    And the events of stock "anvil" are
      | type         | data                          | cause                         | purchase | path     |
      | Restocked    | {"count": 3}                  |                               |          | none     |
      | ItemReserved | {"order": "o-101", "left": 2} | /main/order/o-101:0>picking/0 | p-101    | picking> |

  Scenario: One event becomes several commands, each with an id of its own
    When PlaceOrder {"items": ["lamp", "kettle", "lamp"]} is sent to order "o-102"
    Then the commands of stock "lamp" are
      | type        | data               | id                            |
      | ReserveItem | {"order": "o-102"} | /main/order/o-102:0>picking/0 |
      | ReserveItem | {"order": "o-102"} | /main/order/o-102:0>picking/2 |
    And the commands of stock "kettle" are
      | type        | data               | id                            |
      | ReserveItem | {"order": "o-102"} | /main/order/o-102:0>picking/1 |

  Scenario: The same event again changes nothing, since its command has the same id
    Given Restock {"count": 3} is sent to stock "violin"
    And PlaceOrder {"items": ["violin"]} is sent to order "o-103"
    When the last event of order "o-103" is delivered again
    Then the commands of stock "violin" are
      | type        | id                            |
      | Restock     |                               |
      | ReserveItem | /main/order/o-103:0>picking/0 |
      | ReserveItem | /main/order/o-103:0>picking/0 |
    And the events of stock "violin" are
      | type         | data                          |
      | Restocked    | {"count": 3}                  |
      | ItemReserved | {"order": "o-103", "left": 2} |

  Scenario: A saga sees the events of a root in their order
    When OrderExtra {"extra": "card", "text": "first"} is sent to order "o-104"
    And OrderExtra {"extra": "ribbon", "text": "second"} is sent to order "o-104"
    And OrderExtra {"extra": "card", "text": "third"} is sent to order "o-104"
    Then the events of workshop "o-104" are
      | type      | data                                  | cause                        |
      | ExtraMade | {"extra": "card", "text": "first"}    | /main/order/o-104:0>extras/0 |
      | ExtraMade | {"extra": "ribbon", "text": "second"} | /main/order/o-104:1>extras/0 |
      | ExtraMade | {"extra": "card", "text": "third"}    | /main/order/o-104:2>extras/0 |

  Scenario: A transient failure is tried again
    Given saga "extras" stumbles 3 times over "o-106"
    When OrderExtra {"extra": "card", "text": "well"} is sent to order "o-106"
    Then the events of workshop "o-106" are
      | type      | data                              |
      | ExtraMade | {"extra": "card", "text": "well"} |
    And saga "extras" has no dead letters for "o-106"

  Scenario: After four tries it is no longer transient
    Given saga "extras" stumbles 4 times over "o-107"
    When OrderExtra {"extra": "card", "text": "well"} is sent to order "o-107"
    Then the dead letters of saga "extras" for "o-107" are
      | type         | error class | error says      | outcome |
      | ExtraOrdered | Transient   | extras stumbles | open    |
    And workshop "o-107" has no commands

  Scenario: An event whose command cannot be sent is dead, and none of its commands is sent
    When PlaceOrder {"items": ["bucket", ""]} is sent to order "o-108"
    Then the dead letters of saga "picking" for "o-108" are
      | type        | input   | error class     | error says                                  |
      | OrderPlaced | o-108:0 | InvalidArgument | shop.v1.ReserveItem to stock without a root |
    And stock "bucket" has no commands

  Scenario: A loop of sagas ends at the hop limit, with its path
    When OrderExtra {"extra": "magazine", "text": "monthly"} is sent to order "o-109"
    Then the dead letters of saga "extras" for "o-109" are
      | type         | input    | error class | error says                                                            |
      | ExtraOrdered | o-109:32 | HopLimit    | 64 hops led here and no end: extras>subscription>extras>subscription> |
    And saga "subscription" has no dead letters for "o-109"
    And order "o-109" has 33 events
    And workshop "o-109" has 32 events

Feature: Sync modes
  The sender of a command says how long it waits: until the command is decided, until documents have its events, or until
  all that it leads to is handled, time-outs aside. Of an isolated command, sagas and process managers pass the events
  over; orders permit that, and stocks do not.

  Scenario: By default a command is answered once it is decided
    When PlaceOrder {"items": []} is sent to order "sm-1"
    Then it is accepted
    And its answer holds the events
      | type        | data                         |
      | OrderPlaced | {"order": "sm-1"} |

  Scenario: A caller can wait until documents have the events
    When OrderExtra {"extra": "card", "text": "for ann"} is sent to order "sm-2" until documents have it
    Then it is accepted
    And document "sm-2" of projector "order-pages-v1" is {"items": [], "extras": ["for ann"], "paid": 0}

  Scenario: A projector that fails does not fail the command
    Given projector "order-pages-v1" is broken for "sm-3"
    When OrderExtra {"extra": "card", "text": "for bob"} is sent to order "sm-3" until documents have it
    Then it is accepted
    And the caller is told of an error, "order-pages-v1"
    And order "sm-3" has 1 event

  Scenario: A caller can wait until all that a command leads to is handled
    Given Restock {"count": 3} is sent to stock "sm-clock"
    When PlaceOrder {"items": ["sm-clock"]} is sent to order "sm-4" until all is settled
    Then all are accepted
    And nothing has failed
    And stock "sm-clock" has 2 events
    And document "sm-clock" of projector "demand-v1" is {"ordered": 1, "reserved": 1}

  Scenario: What a process manager does is a part of it, and a time-out is none
    Given Restock {"count": 3} is sent to stock "sm-globe"
    And PlaceOrder {"items": ["sm-globe"], "address": "1 Main St", "seconds_to_pay": 3600} is sent to order "sm-5" in purchase "smp-5" until all is settled
    When the fact PaymentReceived {"amount": 5} is stated of order "sm-5" in purchase "smp-5" as "sm-pay-5"
    Then all are accepted
    And nothing has failed
    And order "sm-5" has 2 events

  Scenario: A caller who says nothing of errors is told of the first one
    When PlaceOrder {"items": ["sm-none-6"]} is sent to order "sm-6" until all is settled
    Then it is accepted
    And the caller is told of an error, "none is left"
    And the rejections of order "sm-6" are
      | command     | refused by                | reason       |
      | ReserveItem | aggregate:stock sm-none-6 | none is left |
    And the events of order "sm-6" are
      | type            | data                                                |
      | OrderPlaced     | {"order": "sm-6", "items": ["sm-none-6"]}           |
      | ItemUnavailable | {"item": "sm-none-6", "reason": "none is left"}     |

  Scenario: A caller who continues gets a list of what has failed
    Given Restock {"count": 3} is sent to stock "sm-vase"
    When PlaceOrder {"items": ["sm-none-7", "sm-vase", "sm-none-7b"]} is sent to order "sm-7" until all is settled, on errors continue
    Then all are accepted
    And the caller is told of no error
    And what has failed is, in any order
      | component | root       | type        | reason       | code     |
      | stock     | sm-none-7  | ReserveItem | none is left | sold-out |
      | stock     | sm-none-7b | ReserveItem | none is left | sold-out |
    And stock "sm-vase" has 2 events
    And order "sm-7" has 2 rejections

  Scenario: What cannot be handled is in the list too
    Given saga "picking" is broken for "sm-8"
    When PlaceOrder {"items": ["sm-none-8"]} is sent to order "sm-8" until all is settled, on errors continue
    Then it is accepted
    And what has failed is
      | component | root | type        | reason            | code      |
      | picking   | sm-8 | OrderPlaced | picking is broken | Breakdown |

  Scenario: Rejected commands can be kept for a person
    When PlaceOrder {"items": ["sm-none-9"]} is sent to order "sm-9" until all is settled, on errors dead-letter
    Then it is accepted
    And what has failed is
      | component | root      | type        | reason       | code     |
      | stock     | sm-none-9 | ReserveItem | none is left | sold-out |
    And the dead letters of aggregate "stock" for "sm-none-9" are
      | type        | error class | error says   | outcome |
      | ReserveItem | Rejected    | none is left | open    |
    And order "sm-9" has 1 rejection

  Scenario: What a failed cascade has done can be undone, and the caller is told afterwards
    Given Restock {"count": 3} is sent to stock "sm-lamp"
    When PlaceOrder {"items": ["sm-lamp", "sm-none-10"]} is sent to order "sm-10" until all is settled, on errors compensate
    Then all are accepted
    And the caller is told of an error, "none is left"
    And the rejections of order "sm-10" are
      | command     | refused by                 | reason                                                                        |
      | ReserveItem | aggregate:stock sm-none-10 | none is left                                                                  |
      | ReserveItem | aggregate:stock sm-lamp    | it was carried out and is to be undone: stock failed, none is left |
    And order "sm-10" has 3 events

  Scenario: If nothing fails, nothing is undone
    Given Restock {"count": 3} is sent to stock "sm-bowl"
    When PlaceOrder {"items": ["sm-bowl"]} is sent to order "sm-11" until all is settled, on errors compensate
    Then all are accepted
    And the caller is told of no error
    And order "sm-11" has no rejections
    And order "sm-11" has 1 event

  Scenario: Sagas pass over the events of an isolated command
    When OrderExtra {"extra": "card", "text": "for eve"} is sent to order "sm-12" isolated
    Then it is accepted
    And order "sm-12" has 1 event
    And workshop "sm-12" has no commands
    And document "sm-12" of projector "order-pages-v1" is {"items": [], "extras": ["for eve"], "paid": 0}

  Scenario: An isolated command can be rejected
    Given CancelOrder {"reason": "none"} is sent to order "sm-13" isolated
    When CancelOrder {"reason": "none"} is sent to order "sm-13" isolated
    Then the last one is rejected because "it is cancelled already"
    And order "sm-13" has 1 event

  Scenario: Only an aggregate that permits it takes isolated commands
    When Restock {"count": 1} is sent to stock "sm-14" isolated
    Then the last one has failed because "permits no isolated commands"
    And stock "sm-14" has no events

  Scenario: The next command of the same sender can wait as it likes
    Given OrderExtra {"extra": "card", "text": "one"} is sent to order "sm-15" isolated
    When OrderExtra {"extra": "card", "text": "two"} is sent to order "sm-15" until all is settled
    Then all are accepted
    And workshop "sm-15" has 1 command

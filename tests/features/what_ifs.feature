Feature: What-ifs
  Commands are decided over a history by the same rules as in the deployment, and what they would lead to is shown.
  Nothing of it is stored, published or sent.

  Scenario: Events or a rejection are shown, and nothing is stored, published or sent
    Given OrderExtra {"extra": "ribbon", "text": "red"} is sent to order "o-2501"
    And the history of order "o-2501"
    When in a what-if CancelOrder {"reason": "too late"} is sent to order "o-2501"
    Then the what-if shows the events
      | type           | data                   | sequence |
      | OrderCancelled | {"reason": "too late"} | 1        |
    When in the same what-if CancelOrder {"reason": "again"} is sent to order "o-2501"
    Then the what-if shows a rejection, "it is cancelled already"
    And order "o-2501" has 1 command
    And order "o-2501" has 1 event
    And aggregate "order" has no dead letters for "o-2501"

  Scenario: A what-if in the past decides on the state of that time
    Given CancelOrder {"reason": "too dear"} is sent to order "o-2601"
    And PlaceOrder {"items": ["bell-2601"], "address": "Quay 1"} is sent to order "o-2601"
    And the history of order "o-2601" as of 0
    When in a what-if PlaceOrder {"items": ["bell-2601"], "address": "Quay 2"} is sent to order "o-2601"
    Then the what-if shows the events
      | type        | data                                                               | sequence |
      | OrderPlaced | {"order": "o-2601", "items": ["bell-2601"], "address": "Quay 2"} | 1        |
    Given the history of order "o-2601" as of 1
    When in a what-if PlaceOrder {"items": ["bell-2601"], "address": "Quay 2"} is sent to order "o-2601"
    Then the what-if shows a rejection, "it is placed already"

  Scenario: Two what-ifs start from the same history
    Given OrderExtra {"extra": "ribbon", "text": "red"} is sent to order "o-2701"
    And the history of order "o-2701"
    When in a what-if CancelOrder {"reason": "first"} is sent to order "o-2701"
    And in another what-if CancelOrder {"reason": "second"} is sent to order "o-2701"
    Then the what-if shows the events
      | type           | data                 | sequence |
      | OrderCancelled | {"reason": "second"} | 1        |

  Scenario: Sagas and process managers show commands, projectors documents
    Given Restock {"count": 1} is sent to stock "bell-2801"
    And the history of stock "bell-2801"
    When in a what-if with all that follows PlaceOrder {"items": ["bell-2801"], "seconds_to_pay": 60, "sample": "tune-2801"} is sent to order "o-2801"
    Then the what-if shows the commands, in any order
      | sender     | domain | root      | type        | data                |
      | picking    | stock  | bell-2801 | ReserveItem | {"order": "o-2801"} |
      | fulfilment | stock  | tune-2801 | ReserveItem | {"order": "o-2801"} |
    And the what-if shows that ReserveItem of "tune-2801" is rejected, "none is left"
    And the what-if shows document "o-2801" of "order-pages" as {"items": ["bell-2801"], "extras": [], "paid": 0}
    And stock "bell-2801" has 1 event
    And order "o-2801" has no events

  Scenario: Bytes that are no command lead to an error, and to no events
    Given OrderExtra {"extra": "ribbon", "text": "red"} is sent to order "o-2901"
    And the history of order "o-2901"
    When in a what-if the bytes ff ff ff are sent to order "o-2901" as CancelOrder
    Then the what-if shows an error, "shop.v1.CancelOrder"
    And order "o-2901" has 1 event
    And aggregate "order" has no dead letters for "o-2901"

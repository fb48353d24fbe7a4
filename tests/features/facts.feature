Feature: Facts
  A fact tells of something that has happened outside. It is not refused, and it is recorded once for the id by which
  its source knows it. An order records payments.

  Scenario: A fact becomes events, which can be told from those of requests
    Given OrderExtra {"extra": "ribbon", "text": "red"} is sent to order "o-301"
    When the fact PaymentReceived {"amount": 80} is stated of order "o-301" as "bank-301"
    Then the last one is accepted
    And its answer holds the events
      | type      | data           |
      | OrderPaid | {"amount": 80} |
    And the events of order "o-301" are
      | type         | data           | fact     | sequence |
      | ExtraOrdered |                | none     | 0        |
      | OrderPaid    | {"amount": 80} | bank-301 | 1        |

  Scenario: Stated again, at any time and whatever it says, it answers the events of the first time
    Given the fact PaymentReceived {"amount": 80} is stated of order "o-302" as "bank-302"
    And CancelOrder {"reason": "too dear"} is sent to order "o-302"
    And the fact PaymentReceived {"amount": 7} is stated of order "o-302" as "bank-302-b"
    When the fact PaymentReceived {"amount": 99} is stated of order "o-302" as "bank-302"
    Then the last one is known already, and its answer is the first one's
    And its answer holds the events
      | type      | data           |
      | OrderPaid | {"amount": 80} |
    And the events of order "o-302" are
      | type           | data                   | fact       |
      | OrderPaid      | {"amount": 80}         | bank-302   |
      | OrderCancelled | {"reason": "too dear"} | none       |
      | OrderPaid      | {"amount": 7}          | bank-302-b |

  Scenario: The same id at another root is another fact
    Given the fact PaymentReceived {"amount": 80} is stated of order "o-304" as "bank-304"
    When the fact PaymentReceived {"amount": 80} is stated of order "o-305" as "bank-304"
    Then all are accepted
    And the events of order "o-305" are
      | type      | data           | fact     |
      | OrderPaid | {"amount": 80} | bank-304 |

  Scenario: A fact without the id of its source is refused, and nothing is stored
    When the fact PaymentReceived {"amount": 80} is stated of order "o-306" without an id
    Then the last one has failed because "ce_factid is missing"
    And order "o-306" has no events
    And the dead letters of aggregate "order" for "o-306" are
      | type            | error class | error says           |
      | PaymentReceived | RecordError | ce_factid is missing |

  Scenario: A fact of an undeclared type is refused, and nothing is stored
    When the fact CancelOrder {"reason": "it is lost"} is stated of order "o-307" as "carrier-307"
    Then the last one has failed because "records no shop.v1.CancelOrder"
    And order "o-307" has no events
    And the dead letters of aggregate "order" for "o-307" are
      | type        | error class     | error says                                                          |
      | CancelOrder | InvalidArgument | records no shop.v1.CancelOrder; it records: shop.v1.PaymentReceived |
    When the fact PaymentReceived {"amount": 80} is stated of order "o-307" as "carrier-307"
    Then the last one is accepted

  Scenario: Whoever rejects a fact is at fault
    When the fact PaymentReceived {"amount": -1} is stated of order "o-308" as "bank-308"
    Then the last one has failed because "nobody pays less than nothing"
    And order "o-308" has no events
    And the dead letters of aggregate "order" for "o-308" are
      | type            | error class  | error says     | outcome |
      | PaymentReceived | HandlerError | rejects a fact | open    |

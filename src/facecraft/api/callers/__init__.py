"""Who calls: whether they may, how often, what belongs to them, and what they send and are told of accounts."""

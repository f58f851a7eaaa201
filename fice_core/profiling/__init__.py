"""What a step of an edit costs, by stage, against what it could cost and what the plainest loop costs."""

-- What the accounting department runs at night, with psql. It knows nothing of a cache; the triggers of the outbox do.
update accounts set balance = balance + balance / 100;

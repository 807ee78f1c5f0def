"""What every route stands on: gate, envelope, problems, idempotency, declared answers."""

"""What an app asks on behalf of a payer: checkout, confirm, portal, subscriptions."""

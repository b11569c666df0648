"""HTTP grammar that doors share: bodies, paging, rate-limit headers, listeners, request ids; no noun of the product."""

//! One bound shared out: so much for reads, so much for writes, and what is unused is lent.

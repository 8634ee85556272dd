//! A second try when the first is late, capped, the loser cancelled.

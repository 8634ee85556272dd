//! A queue in which every key gets its share: weighted deficit round robin.

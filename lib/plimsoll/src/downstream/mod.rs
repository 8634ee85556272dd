//! One dependency with all its bounds, in the one right order.

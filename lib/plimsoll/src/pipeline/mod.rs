//! Stages with their own workers, bounded between.

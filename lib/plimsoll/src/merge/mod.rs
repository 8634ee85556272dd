//! Many streams into one: bounded, fair, cancellable.

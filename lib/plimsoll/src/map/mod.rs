//! N at once over an iterator or a stream.

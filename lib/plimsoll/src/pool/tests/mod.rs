mod lanes;
mod pool;

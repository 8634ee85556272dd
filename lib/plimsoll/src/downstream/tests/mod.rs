mod calls;
mod drops;
mod pairs;
mod service;

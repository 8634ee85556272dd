//! Imported by name.
use reqwest::Client;

pub struct Geocoder {
    http: Client,
}

impl Geocoder {
    pub fn new() -> Self {
        Self { http: Client::new() } //~ PL015
    }
}

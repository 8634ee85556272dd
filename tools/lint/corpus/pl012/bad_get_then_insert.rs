//! Read, add one, write: two that do it at once count one.
pub fn count(hits: &DashMap<IpAddr, u64>, address: IpAddr) {
    let seen = hits.get(&address).map(|entry| *entry).unwrap_or(0); //~ PL012
    hits.insert(address, seen + 1);
}

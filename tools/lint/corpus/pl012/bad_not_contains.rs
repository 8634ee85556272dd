//! The other way round.
pub struct Locks {
    held: DashMap<String, Owner>,
}

impl Locks {
    pub fn try_lock(&self, name: &str, owner: Owner) -> bool {
        if !self.held.contains_key(name) { //~ PL012
            self.held.insert(name.to_owned(), owner);
            return true;
        }
        false
    }
}

//! `&mut self` is alone.
impl Registry {
    pub fn register(&mut self, name: String, plugin: Plugin) -> bool {
        if self.plugins.contains_key(&name) {
            return false;
        }
        self.plugins.insert(name, plugin);
        true
    }
}

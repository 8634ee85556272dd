//! A `spawn` that is not a task.
pub struct Arena {
    monsters: Vec<Monster>,
}

impl Arena {
    pub fn spawn(&mut self, kind: Kind) {
        self.monsters.push(Monster::new(kind));
    }

    pub fn spawn_wave(&mut self, kinds: &[Kind]) {
        for kind in kinds {
            self.spawn(*kind);
        }
    }
}

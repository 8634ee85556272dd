//! Asked by `contains_key`.
use dashmap::DashMap;

pub struct Catalogue {
    tables: DashMap<String, Definition>,
    catalogue: Remote,
}

impl Catalogue {
    pub async fn ensure(&self, table: &str) -> Result<(), Error> {
        if !self.tables.contains_key(table) { //~ PL013
            let definition = self.catalogue.describe(table).await?;
            self.tables.insert(table.to_owned(), definition);
        }
        Ok(())
    }
}

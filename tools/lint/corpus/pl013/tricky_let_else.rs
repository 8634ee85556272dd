//! With the test the other way round.
use dashmap::DashMap;

pub struct Schemas {
    schemas: DashMap<SchemaId, Arc<Schema>>,
    registry: Registry,
}

impl Schemas {
    pub async fn schema(&self, id: SchemaId) -> Result<Arc<Schema>, Error> {
        let cached = self.schemas.get(&id).map(|entry| entry.value().clone()); //~ PL013
        if let Some(schema) = cached {
            return Ok(schema);
        }
        let schema = Arc::new(self.registry.fetch(id).await?);
        self.schemas.insert(id, schema.clone());
        Ok(schema)
    }
}

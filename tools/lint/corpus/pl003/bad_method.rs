//! A method that spawns itself.
impl Resolver {
    pub fn resolve(self: Arc<Self>, package: Package) -> JoinHandle<Resolved> {
        tokio::spawn(async move { //~? PL003
            let manifest = self.registry.manifest(&package).await;
            let mut children = Vec::new();
            for dependency in manifest.dependencies {
                children.push(tokio::spawn(self.clone().resolve(dependency))); //~ PL003
            }
            Resolved::join(package, children).await
        })
    }
}

//! Through another function and back.
fn visit_node(graph: Arc<Graph>, id: NodeId) -> BoxFuture<'static, ()> {
    async move {
        graph.mark(id).await;
        visit_edges(graph, id).await;
    }
    .boxed()
}

async fn visit_edges(graph: Arc<Graph>, id: NodeId) {
    for next in graph.edges(id).await {
        tokio::spawn(visit_node(graph.clone(), next)); //~ PL003
    }
}

//! A game's commands have a `spawn` of their own.
fn populate(mut commands: Commands, levels: Res<Levels>) {
    for tile in levels.current().tiles() {
        commands.spawn((Tile, Transform::from(tile.position)));
    }
}

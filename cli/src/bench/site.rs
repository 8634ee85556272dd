//! Where a house stands: one at a time, always taken down before the next and at the end.

use super::house::{House, Spot};
use crate::stage::Stage;

/// The site.
pub(super) struct Site {
    settings: Vec<String>,
    house: Option<House>,
}

impl Site {
    /// A site whose houses all have these settings.
    pub(super) fn new(settings: &[String]) -> Self {
        Self { settings: settings.to_vec(), house: None }
    }

    /// Sets up a house with these endpoints, and more settings, for `work`.
    ///
    /// # Errors
    /// It cannot be set up, or the work failed.
    ///
    /// # Cancel safety
    /// Dropped midway, the house stands until [`clear`](Self::clear).
    pub(super) async fn with_house<T>(
        &mut self,
        spots: Vec<Spot>,
        settings: &[&str],
        work: impl AsyncFnOnce(&mut House) -> Result<T, String>,
    ) -> Result<T, String> {
        self.clear().await;
        // What was asked for on the command line comes last, and so is in force.
        let settings =
            settings.iter().map(|&setting| setting.to_owned()).chain(self.settings.iter().cloned());
        let stage = Stage::set_up(House::ports(&spots), &settings.collect::<Vec<String>>()).await?;
        let house = match House::furnish(stage, spots).await {
            Ok(house) => self.house.insert(house),
            Err((stage, why)) => {
                stage.take_down().await;
                return Err(why);
            }
        };
        let worked = work(house).await;
        self.clear().await;
        worked
    }

    /// Takes down what stands.
    pub(super) async fn clear(&mut self) {
        if let Some(house) = self.house.take() {
            house.take_down().await;
        }
    }
}

//! One more task for each request, and nobody learns how it went.
use axum::{Json, extract::State};

pub async fn sign_up(State(app): State<App>, Json(form): Json<Form>) -> Result<StatusCode, ApiError> {
    let user = app.users.create(form).await?;
    let mailer = app.mailer.clone();
    tokio::spawn(async move { //~ PL002 high
        mailer.welcome(&user).await;
    });
    Ok(StatusCode::CREATED)
}

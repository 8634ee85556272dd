//! The bare name, imported.
use tokio::spawn;

pub async fn login(State(app): State<App>, Json(form): Json<Login>) -> Result<Json<Token>, ApiError> {
    let token = app.auth.login(&form).await?;
    spawn(async move { app.audit.record_login(form.user).await }); //~ PL002 high
    Ok(Json(token))
}

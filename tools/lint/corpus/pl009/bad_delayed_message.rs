//! A reminder for each request, in memory, gone at a restart.
#[post("/remind")]
async fn remind(app: web::Data<App>, form: web::Json<Reminder>) -> HttpResponse {
    let app = app.into_inner();
    actix_web::rt::spawn(async move { //~ PL009 high
        actix_web::rt::time::sleep(form.delay()).await;
        app.mailer.send(form.into_inner()).await;
    });
    HttpResponse::Accepted().finish()
}

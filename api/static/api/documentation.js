/* Swagger UI over the portal's own schema. Whoever is signed in tries it as themselves, with the token of forms. */
const csrf = () => document.cookie.split("; ").find(one => one.startsWith("csrftoken="))?.slice("csrftoken=".length) ?? "";

SwaggerUIBundle({
  url: document.getElementById("api").dataset.schema,
  dom_id: "#api",
  deepLinking: true,
  docExpansion: "list",
  validatorUrl: null,
  requestInterceptor: request => {
    if (!["GET", "HEAD"].includes(request.method?.toUpperCase())) request.headers["X-CSRFToken"] = csrf();
    return request;
  },
});

// Served from our own origin only: no validator badge, no remote fonts, no remote definition.
window.ui = SwaggerUIBundle({
  url: "/schema/openapi.json",
  dom_id: "#reference",
  deepLinking: true,
  validatorUrl: null,
  queryConfigEnabled: false,
  persistAuthorization: false,
  docExpansion: "none",
  filter: true,
  defaultModelsExpandDepth: 0,
});

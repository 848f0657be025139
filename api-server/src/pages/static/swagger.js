// Starts Swagger UI with the settings that FastAPI gives it.
window.ui = SwaggerUIBundle({
  url: new URL("openapi.json", document.baseURI).href,
  dom_id: "#swagger-ui",
  layout: "BaseLayout",
  deepLinking: true,
  showExtensions: true,
  showCommonExtensions: true,
  // Without this the document of a public address would be sent to a validator on the internet.
  validatorUrl: null,
  presets: [SwaggerUIBundle.presets.apis],
});

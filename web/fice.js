// Colours of the sockets of this pack, and errors of the user as one sentence in a toast.
import { app } from "../../scripts/app.js";

// Networks are blue to violet, what a photo shows is green, codes are orange, settings are grey.
const COLOURS = {
  FICE_MODELS: "#7aa2f7",
  FICE_GENERATOR: "#5b8def",
  FICE_ENCODER: "#6f7df0",
  FICE_CLIP: "#8a74e8",
  FICE_DENSEPOSE: "#a56be0",
  FICE_SEGMENTER: "#bf66d6",
  FICE_SAM: "#d264c0",
  FICE_FRAME: "#3fb58e",
  FICE_POSE: "#6cc24a",
  FICE_TEXT: "#e3c14b",
  FICE_LATENT: "#f2994a",
  FICE_TRACE: "#eb6f6f",
  FICE_WEIGHTS: "#9aa5b1",
  FICE_SETTINGS: "#7d8a99",
};

// A palette of the user that names one of our types wins.
function paint() {
  const byType = app.canvas?.default_connection_color_byType;
  if (!byType) return;
  for (const [type, colour] of Object.entries(COLOURS)) {
    byType[type] ||= colour;
    const style = document.documentElement.style;
    const name = `--color-datatype-${type}`;
    if (!style.getPropertyValue(name)) style.setProperty(name, byType[type]);
    const links = app.canvas.constructor.link_type_colors;
    if (links) links[type] ||= byType[type];
  }
  app.canvas.setDirty(true, true);
}

app.registerExtension({
  name: "FICE",
  setup() {
    paint();
    // A palette that is loaded clears the colours of all types first.
    app.ui?.settings?.addEventListener?.("Comfy.ColorPalette.change", () => setTimeout(paint));
    app.api?.addEventListener("execution_error", ({ detail }) => {
      if (detail?.exception_type !== "FiceError") return;
      const node = app.graph?.getNodeById?.(detail.node_id);
      app.extensionManager?.toast?.add({
        severity: "error",
        summary: node?.title ?? "FICE",
        detail: detail.exception_message.trim(),
        life: 15000,
      });
    });
  },
});

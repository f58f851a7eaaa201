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

// The page's own message about a failed run does not repeat what the node said.
function tell(error) {
  if (error?.exception_type !== "FiceError") return;
  const node = app.graph?.getNodeById?.(error.node_id);
  app.extensionManager?.toast?.add({
    severity: "error",
    summary: node?.title ?? "FICE",
    detail: error.exception_message.trim(),
    life: 15000,
  });
}

app.registerExtension({
  name: "FICE",
  setup() {
    // A palette that is loaded clears the colours of all types, some time after the setting changes.
    app.ui?.settings?.addEventListener?.("Comfy.ColorPalette.change", () => setTimeout(paint, 500));
    app.api?.addEventListener("execution_error", ({ detail }) => tell(detail));
  },
  // The first palette is loaded after the setup and before the first graph.
  afterConfigureGraph: paint,
});

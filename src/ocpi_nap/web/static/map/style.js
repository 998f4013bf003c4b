// How the map looks: the base map's layers, the locations' layers, and the pictures that are drawn when the map first needs them.
"use strict";

window.nap = window.nap || {};

nap.dark = () => window.matchMedia("(prefers-color-scheme: dark)").matches;

nap.palette = () => nap.dark()
  ? { sea: "#10191f", land: "#1d272d", lake: "#10191f", region: "#2f3c45", municipality: "#34424c", border: "#53636f", label: "#c3ced6", halo: "#10181d", ring: "#10181d", ink: "#0b1512",
      states: ["#43c684", "#f0b24a", "#e0736c", "#8c9aa5"] }
  : { sea: "#d5e4ea", land: "#f8f7f3", lake: "#d5e4ea", region: "#dcdad2", municipality: "#cbc8bd", border: "#a8a69c", label: "#39444d", halo: "#ffffff", ring: "#ffffff", ink: "#ffffff",
      states: ["#12804f", "#b96f06", "#b3312c", "#69757f"] };

// A value that a change told since the tile was made, else the tile's.
const now = (name) => ["coalesce", ["feature-state", name], ["get", name]];
const shown = ["case", [">", now("total"), 0], 1, 0];

nap.style = (config, tilesUrl) => {
  const c = nap.palette();
  const byState = ["match", now("state"), 0, c.states[0], 1, c.states[1], 2, c.states[2], c.states[3]];
  const many = [">", ["get", "n"], 1];
  // The share of free EVSEs in a cluster: none busy-coloured, few between, many free-coloured.
  const share = ["/", now("free"), ["max", now("total"), 1]];
  const byShare = ["case", ["==", now("free"), 0], byState, ["interpolate", ["linear"], share, 0.02, c.states[1], 0.45, c.states[0]]];
  const size = ["interpolate", ["linear"], ["ln", ["get", "n"]], 0.7, 13, 3, 16, 6, 21, 9, 27];
  const sources = {
    locations: { type: "vector", tiles: [tilesUrl], minzoom: 0, maxzoom: config.last },
    towns: { type: "geojson", data: { type: "FeatureCollection", features: [] } },
    chosen: { type: "geojson", data: { type: "FeatureCollection", features: [] } },
  };
  const layers = [{ id: "sea", type: "background", paint: { "background-color": c.sea } }];
  if (config.tiles) {
    sources.base = { type: "raster", tiles: [new URL(config.tiles, location.href).href.replace(/%7B/g, "{").replace(/%7D/g, "}")], tileSize: 256, maxzoom: 19, attribution: nap.attribution(config.attribution, config.attributionUrl) };
    layers.push({ id: "base", type: "raster", source: "base", paint: nap.dark() ? { "raster-brightness-max": 0.55, "raster-saturation": -0.5, "raster-contrast": 0.1 } : { "raster-saturation": -0.35 } });
  } else {
    sources.outlines = { type: "vector", tiles: [location.origin + "/map/outlines/{z}/{x}/{y}"], maxzoom: config.outlinesLast, attribution: nap.attribution(config.attribution, config.attributionUrl) };
    // Its layer begins at that zoom: farther out none of its tiles is asked for, and its source is not named.
    sources.municipalities = { type: "vector", tiles: [location.origin + "/map/municipalities/{z}/{x}/{y}"], minzoom: config.municipalitiesZoom, maxzoom: config.municipalitiesZoom, attribution: nap.attribution(...config.municipalities) };
    const line = (id, colour, width, more, source = "outlines") => ({ id, type: "line", source, "source-layer": id, layout: { "line-join": "round" },
      paint: { "line-color": colour, "line-width": width, ...more } });
    layers.push(
      { id: "land", type: "fill", source: "outlines", "source-layer": "land", paint: { "fill-color": c.land, "fill-outline-color": c.border } },
      { id: "lakes", type: "fill", source: "outlines", "source-layer": "lakes", paint: { "fill-color": c.lake } },
      { ...line("municipalities", c.municipality, ["interpolate", ["linear"], ["zoom"], 7, 0.4, 12, 1.2], {}, "municipalities"), minzoom: config.municipalitiesZoom },
      line("regions", c.region, ["interpolate", ["linear"], ["zoom"], 5, 0.7, 10, 1.6], { "line-dasharray": [3, 2] }),
      line("borders", c.border, ["interpolate", ["linear"], ["zoom"], 3, 0.7, 8, 1.8]),
    );
  }
  layers.push(
    { id: "halo", type: "circle", source: "locations", "source-layer": "locations", filter: many,
      paint: { "circle-radius": ["+", size, 5], "circle-color": byShare, "circle-opacity": ["*", 0.22, shown] } },
    { id: "clusters", type: "circle", source: "locations", "source-layer": "locations", filter: many,
      paint: { "circle-radius": size, "circle-color": byShare, "circle-stroke-color": c.ring, "circle-stroke-width": 1.5, "circle-opacity": shown, "circle-stroke-opacity": shown } },
    // Not by colour alone: free is full, busy is a ring, the others are smaller.
    { id: "spots", type: "circle", source: "locations", "source-layer": "locations", filter: ["==", ["get", "n"], 1],
      paint: {
        "circle-radius": ["interpolate", ["linear"], ["zoom"], 4, ["match", now("state"), 0, 5, 1, 4, 3], 9, ["match", now("state"), 0, 7.5, 1, 6, 5], 15, ["match", now("state"), 0, 11, 1, 9, 8]],
        "circle-color": ["match", now("state"), 1, c.ring, byState],
        "circle-stroke-color": ["match", now("state"), 1, c.states[1], c.ring],
        "circle-stroke-width": ["match", now("state"), 1, 3.5, 1.5],
        "circle-opacity": shown, "circle-stroke-opacity": shown } },
    { id: "numbers", type: "symbol", source: "locations", "source-layer": "locations", filter: many,
      layout: { "icon-image": ["concat", "number:", ["to-string", ["get", "n"]]], "icon-allow-overlap": true, "icon-padding": 7 },
      paint: { "icon-opacity": shown } },
  );
  if (!config.tiles) { // below the numbers, which are placed first: a name that would cover one is left out
    const numbers = layers.pop();
    layers.push({ id: "names", type: "symbol", source: "locations", "source-layer": "locations", filter: ["all", many, ["has", "town"]], maxzoom: 8, layout: {
      "icon-image": ["concat", "town:", ["get", "town"]], "icon-anchor": "top", "icon-offset": ["interpolate", ["linear"], ["ln", ["get", "n"]], 0.7, ["literal", [0, 17]], 9, ["literal", [0, 31]]],
      "symbol-sort-key": ["-", 0, ["get", "n"]], "icon-padding": 1 }, paint: { "icon-opacity": shown } });
    layers.push(numbers);
    layers.splice(layers.findIndex((layer) => layer.id === "halo"), 0, { id: "towns", type: "symbol", source: "towns", minzoom: 8, layout: {
      "icon-image": ["concat", "town:", ["get", "name"]], "icon-anchor": "top", "icon-offset": [0, 21], "icon-padding": 4,
      "symbol-sort-key": ["-", 0, ["get", "count"]] } });
  }
  layers.push({ id: "chosen", type: "symbol", source: "chosen", layout: { "icon-image": "pin", "icon-anchor": "bottom", "icon-allow-overlap": true, "icon-ignore-placement": true } });
  return { version: 8, sources, layers };
};

nap.attribution = (name, url) => {
  const text = document.createElement("span");
  text.textContent = name;
  if (!url) return text.innerHTML;
  const link = document.createElement("a");
  link.href = url;
  link.rel = "noopener noreferrer";
  link.target = "_blank";
  link.append(text.textContent);
  return link.outerHTML;
};

// Numbers and names are drawn with the reader's own fonts: no font files are needed.
nap.picture = (map, id) => {
  if (id === "pin") return nap.pin(map);
  const [kind, ...rest] = id.split(":");
  const text = rest.join(":");
  const c = nap.palette();
  const ratio = Math.min(3, Math.max(2, Math.ceil(window.devicePixelRatio || 1)));
  const canvas = document.createElement("canvas");
  const pen = canvas.getContext("2d");
  const size = kind === "town" ? 12.5 : text.length > 3 ? 12 : 13;
  const font = `${kind === "town" ? 550 : 700} ${size}px system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", "DejaVu Sans", sans-serif`;
  pen.font = font;
  const margin = kind === "town" ? 4 : 1;
  const width = Math.ceil(pen.measureText(text).width) + 2 * margin;
  const height = Math.ceil(size * 1.35) + 2 * margin;
  canvas.width = width * ratio;
  canvas.height = height * ratio;
  pen.scale(ratio, ratio);
  pen.font = font;
  pen.textAlign = "center";
  pen.textBaseline = "middle";
  if (kind === "town") {
    pen.lineWidth = 3;
    pen.lineJoin = "round";
    pen.strokeStyle = c.halo;
    pen.strokeText(text, width / 2, height / 2);
    pen.fillStyle = c.label;
  } else {
    pen.fillStyle = c.ink;
  }
  pen.fillText(text, width / 2, height / 2 + 0.5);
  if (!map.hasImage(id)) map.addImage(id, pen.getImageData(0, 0, canvas.width, canvas.height), { pixelRatio: ratio });
};

nap.pin = (map) => {
  const ratio = 2;
  const canvas = document.createElement("canvas");
  canvas.width = 36 * ratio;
  canvas.height = 46 * ratio;
  const pen = canvas.getContext("2d");
  pen.scale(ratio, ratio);
  pen.fillStyle = nap.dark() ? "#9be8db" : "#084f45";
  pen.strokeStyle = nap.dark() ? "#10181d" : "#ffffff";
  pen.lineWidth = 2.5;
  pen.beginPath();
  pen.moveTo(18, 44);
  pen.bezierCurveTo(8, 31, 3, 25, 3, 17);
  pen.arc(18, 17, 15, Math.PI, 0);
  pen.bezierCurveTo(33, 25, 28, 31, 18, 44);
  pen.fill();
  pen.stroke();
  pen.fillStyle = pen.strokeStyle;
  pen.fill(new Path2D("M20 6 10.5 19h6.3L15.6 28 25.5 15h-6.7z"));
  if (!map.hasImage("pin")) map.addImage("pin", pen.getImageData(0, 0, canvas.width, canvas.height), { pixelRatio: ratio });
};

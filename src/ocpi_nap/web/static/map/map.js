// The map page: the map, the list beside it, the filters and the chosen location stay in step, and the address carries all of them.
"use strict";

(() => {
  const $ = (id) => document.getElementById(id);
  const form = $("filters"), list = $("list"), details = $("details"), place = $("place"), said = $("said"), holder = $("map");
  const config = JSON.parse(holder.dataset.config);
  const language = document.documentElement.lang;
  const site = holder.dataset.site;
  const closeUp = config.tiles ? 15 : 12; // the outlines have nothing to show closer up
  let map = null, chosen = null, listTimer = 0, listRun = null, listTouched = false;

  // --- the address -------------------------------------------------------------------------------------------------------------

  const filters = () => {
    const found = new URLSearchParams();
    for (const [name, value] of new FormData(form)) if (name !== "q" && value) found.append(name, value);
    return found;
  };
  const view = () => {
    if (!map) return new URLSearchParams(location.search).get("at") || "";
    const middle = map.getCenter();
    return `${middle.lat.toFixed(5)},${middle.lng.toFixed(5)},${map.getZoom().toFixed(2)}`;
  };
  const address = (own) => {
    const query = filters();
    if (own) query.set("loc", own);
    const at = view();
    if (at) query.set("at", at);
    return query;
  };
  const show = (query) => "/?" + query.toString().replaceAll("%2C", ",").replaceAll("%2A", "*");
  const remember = (push) => {
    const url = show(address(chosen && chosen.ref));
    history[push ? "pushState" : "replaceState"](null, "", url);
    links();
  };
  const links = () => { // another language shows the same
    for (const link of document.querySelectorAll(".languages a")) {
      const query = address(chosen && chosen.ref);
      query.set("lang", link.lang);
      link.href = show(query);
    }
  };

  // --- the list ----------------------------------------------------------------------------------------------------------------

  const bbox = () => {
    const bounds = map.getBounds();
    return [bounds.getWest(), bounds.getSouth(), bounds.getEast(), bounds.getNorth()].map((v) => v.toFixed(5)).join(",");
  };
  const refreshList = async () => {
    if (listRun) listRun.abort();
    listRun = new AbortController();
    listTouched = false;
    const query = filters();
    if (map) query.set("bbox", bbox());
    list.setAttribute("aria-busy", "true");
    try {
      const answer = await fetch("/map/list?" + query, { signal: listRun.signal });
      if (!answer.ok) return;
      const focused = list.contains(document.activeElement) && document.activeElement.dataset.pk;
      const text = await answer.text();
      const before = list.querySelector(".count")?.textContent;
      list.innerHTML = text;
      const after = list.querySelector(".count").textContent;
      if (before !== after && !list.hidden) said.textContent = after;
      if (focused) list.querySelector(`[data-pk="${focused}"]`)?.focus();
    } catch { /* the next move asks again */ } finally {
      list.setAttribute("aria-busy", "false");
    }
  };
  const listSoon = (delay) => {
    clearTimeout(listTimer);
    listTimer = setTimeout(refreshList, delay);
  };
  setInterval(() => { if (listTouched && !document.hidden && !list.hidden) refreshList(); }, 5000);

  // --- the chosen location -----------------------------------------------------------------------------------------------------

  const mark = (at) => {
    const source = map && map.getSource("chosen");
    if (source) source.setData({ type: "FeatureCollection", features: at ? [{ type: "Feature", properties: {}, geometry: { type: "Point", coordinates: at } }] : [] });
  };
  const adopt = () => {
    const article = place.querySelector("article");
    if (!article) return;
    chosen = { pk: article.dataset.pk, ref: article.dataset.ref, at: article.dataset.at && article.dataset.at.split(",").map(Number) };
    document.title = `${article.querySelector("h2").textContent} – ${site}`;
    for (const time of place.querySelectorAll("time[data-local]")) {
      time.title = time.textContent;
      time.textContent = new Date(time.dateTime).toLocaleString(language === "en" ? "en-GB" : language, { dateStyle: "short", timeStyle: "short" });
      time.removeAttribute("data-local");
    }
    const share = place.querySelector("[data-share]");
    share.hidden = !navigator.clipboard;
    share.addEventListener("click", async () => {
      await navigator.clipboard.writeText(new URL("/?" + new URLSearchParams({ loc: chosen.ref }), location.href).href);
      share.querySelector("span").textContent = said.textContent = share.dataset.done;
    });
    mark(chosen.at);
  };
  const fill = async (query) => {
    const answer = await fetch("/map/location?" + new URLSearchParams(query));
    if (answer.ok || answer.status === 404) place.innerHTML = await answer.text();
    return answer.ok;
  };
  const open = async (query, { push = true, move = false, focus = true } = {}) => {
    try {
      chosen = null;
      await fill(query);
    } catch {
      return;
    }
    details.hidden = false;
    list.hidden = true;
    document.body.classList.add("chosen");
    details.scrollTop = 0;
    adopt();
    if (focus) place.querySelector("h2").focus({ preventScroll: true });
    if (move && chosen && chosen.at && map) map.easeTo({ center: chosen.at, zoom: Math.max(map.getZoom(), closeUp), duration: calm() ? 0 : 700 });
    remember(push);
    listen();
  };
  const leave = ({ push = true } = {}) => {
    const pk = chosen && chosen.pk;
    chosen = null;
    details.hidden = true;
    list.hidden = false;
    document.body.classList.remove("chosen");
    document.title = `${holder.dataset.title} – ${site}`;
    mark(null);
    if (push) remember(true);
    listen();
    refreshList().then(() => (list.querySelector(`[data-pk="${pk}"]`) || list.querySelector("a"))?.focus({ preventScroll: true }));
  };
  const refreshPlace = async () => {
    if (!chosen) return;
    const top = details.scrollTop, pk = chosen.pk, reachable = "h2, a, button";
    const focus = [...place.querySelectorAll(reachable)].indexOf(document.activeElement);
    try {
      const before = place.querySelector(".tally")?.textContent.replace(/\s+/g, " ").trim();
      if (!(await fill({ pk })) || !chosen || chosen.pk !== pk) return;
      adopt();
      if (focus >= 0) place.querySelectorAll(reachable)[focus]?.focus({ preventScroll: true });
      details.scrollTop = top;
      const after = place.querySelector(".tally").textContent.replace(/\s+/g, " ").trim();
      if (before !== after) said.textContent = after;
    } catch { /* the next change asks again */ }
  };
  const calm = () => window.matchMedia("(prefers-reduced-motion: reduce)").matches;

  // --- changes -----------------------------------------------------------------------------------------------------------------

  let stream = null, streamKey = "", truth = Date.now(), retry = 0, reloadTimer = 0;
  const level = () => (map ? Math.max(0, Math.min(config.last, Math.floor(map.getZoom() + 1e-6))) : 0);
  const listen = () => {
    const query = filters();
    query.set("zoom", level());
    if (chosen) query.set("pk", chosen.pk);
    const key = query.toString();
    if (key === streamKey && stream && stream.readyState !== 2) return;
    streamKey = key;
    if (stream) stream.close();
    clearTimeout(retry);
    query.set("since", truth);
    stream = new EventSource("/map/live?" + query);
    stream.onmessage = (event) => {
      $("offline").hidden = true;
      const { t, cells } = JSON.parse(event.data);
      truth = t;
      if (cells.length) listTouched = true;
      if (!map || !map.getSource("locations")) return;
      for (const [id, free, total, state] of cells) map.setFeatureState({ source: "locations", sourceLayer: "locations", id }, { free, total, state });
    };
    stream.addEventListener("reload", (event) => {
      $("offline").hidden = true;
      truth = Number(event.data);
      listTouched = true;
      clearTimeout(reloadTimer);
      reloadTimer = setTimeout(reloadTiles, 1500);
    });
    stream.addEventListener("location", (event) => { if (chosen && event.data === chosen.pk) refreshPlace(); });
    stream.onerror = () => {
      $("offline").hidden = false;
      if (stream.readyState === 2) retry = setTimeout(() => { streamKey = ""; listen(); }, 10000);
    };
  };
  document.addEventListener("visibilitychange", () => { // a hidden page needs no changes, and holds no connection
    if (document.hidden) {
      if (stream) stream.close();
      streamKey = "";
    } else {
      listen();
    }
  });
  window.addEventListener("pagehide", () => stream && stream.close());

  // --- the map -----------------------------------------------------------------------------------------------------------------

  let revision = 0;
  const tilesUrl = () => {
    const query = filters();
    if (revision) query.set("v", revision);
    return `${location.origin}/map/tiles/{z}/{x}/{y}${query.size ? "?" + query : ""}`;
  };
  const reloadTiles = () => {
    if (!map || !map.getSource("locations")) return;
    revision = Date.now();
    map.removeFeatureState({ source: "locations", sourceLayer: "locations" });
    map.getSource("locations").setTiles([tilesUrl()]);
    listSoon(300);
  };
  const filtersChanged = () => {
    const count = [...filters()].length;
    $("filter-count").textContent = count;
    $("filter-count").hidden = !count;
    if (map && map.getSource("locations")) {
      map.removeFeatureState({ source: "locations", sourceLayer: "locations" });
      map.getSource("locations").setTiles([tilesUrl()]);
    }
    truth = Date.now();
    remember(false);
    listen();
    listSoon(0);
  };
  const margins = () => { // bounds that have no room between them would show another end of the world
    const tall = holder.clientHeight, wide = holder.clientWidth, large = wide > 600;
    return { top: Math.min(large ? 40 : 24, tall / 8), bottom: Math.min(large ? 96 : 84, tall / 4), left: Math.min(large ? 40 : 24, wide / 8), right: Math.min(large ? 72 : 24, wide / 8) };
  };
  const start = () => {
    const at = (new URLSearchParams(location.search).get("at") || "").split(",").map(Number);
    const given = at.length === 3 && at.every(Number.isFinite) && Math.abs(at[0]) <= 85;
    maplibregl.setWorkerUrl(new URL(holder.dataset.worker, location.href).href);
    const options = { container: holder, style: nap.style(config, tilesUrl()), maxZoom: 18, minZoom: 1, attributionControl: false, dragRotate: false,
      pitchWithRotate: false, touchPitch: false, locale: JSON.parse(holder.dataset.texts), fadeDuration: 0, renderWorldCopies: false };
    if (given) Object.assign(options, { center: [at[1], at[0]], zoom: at[2] });
    else if (chosen && chosen.at) Object.assign(options, { center: chosen.at, zoom: closeUp });
    else Object.assign(options, { bounds: config.bounds, fitBoundsOptions: { padding: margins() } });
    map = new maplibregl.Map(options);
    nap.map = map;
    map.touchZoomRotate.disableRotation();
    map.keyboard.disableRotation();
    map.addControl(new maplibregl.AttributionControl({ compact: false }), "bottom-right");
    map.addControl(new maplibregl.NavigationControl({ showCompass: false }), "top-right");
    if (navigator.geolocation) map.addControl(new maplibregl.GeolocateControl({ positionOptions: { enableHighAccuracy: true }, trackUserLocation: false }), "top-right");
    map.getCanvas().setAttribute("aria-describedby", "map-help");
    map.on("styleimagemissing", (event) => nap.picture(map, event.id));
    map.once("idle", () => { performance.mark("map-idle"); holder.dataset.ready = "1"; });
    map.on("load", async () => {
      if (chosen) mark(chosen.at);
      if (config.tiles) return;
      try {
        const rows = await (await fetch("/map/towns")).json();
        map.getSource("towns")?.setData({ type: "FeatureCollection", features: rows.map(([name, longitude, latitude, count]) => (
          { type: "Feature", properties: { name, count }, geometry: { type: "Point", coordinates: [longitude, latitude] } })) });
      } catch { /* labels only */ }
    });
    listSoon(0);
    map.on("moveend", () => { remember(false); listen(); listSoon(150); });
    for (const layer of ["clusters", "spots"]) {
      map.on("mouseenter", layer, () => { map.getCanvas().style.cursor = "pointer"; });
      map.on("mouseleave", layer, () => { map.getCanvas().style.cursor = ""; });
    }
    map.on("click", (event) => {
      const around = [[event.point.x - 6, event.point.y - 6], [event.point.x + 6, event.point.y + 6]];
      const found = map.queryRenderedFeatures(around, { layers: ["spots", "clusters"] });
      const spot = found.find((feature) => feature.properties.pk) || found[0];
      if (!spot) return;
      if (spot.properties.pk) open({ pk: spot.properties.pk });
      else map.easeTo({ center: spot.geometry.coordinates, zoom: Math.min(map.getZoom() + 2, 18), duration: calm() ? 0 : 400 });
    });
    window.matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
      const towns = map.getSource("towns")?.serialize().data;
      map.listImages().forEach((id) => map.removeImage(id));
      map.setStyle(nap.style(config, tilesUrl()), { diff: false });
      map.once("styledata", () => { if (towns) map.getSource("towns")?.setData(towns); if (chosen) mark(chosen.at); });
    });
  };

  // --- what the reader does ----------------------------------------------------------------------------------------------------

  form.addEventListener("change", (event) => { if (event.target.name !== "q") filtersChanged(); });
  form.addEventListener("submit", (event) => { event.preventDefault(); form.querySelector("details").open = false; });
  $("clear").addEventListener("click", (event) => {
    event.preventDefault();
    for (const box of form.querySelectorAll("input[type=checkbox]")) box.checked = false;
    form.elements.power.value = "";
    filtersChanged();
  });
  nap.search($("q"), $("found"), (found) => {
    if (found.pk) return void open({ pk: found.pk }, { move: true });
    if (chosen) leave({ push: false });
    const [west, south, east, north] = found.bounds.split(",").map(Number);
    if (map) map.fitBounds([[west, south], [east, north]], { padding: Math.min(48, holder.clientHeight / 4, holder.clientWidth / 4), maxZoom: 14, duration: calm() ? 0 : 700 });
  });
  list.addEventListener("click", (event) => {
    const link = event.target.closest("a[data-pk]");
    if (!link || event.metaKey || event.ctrlKey || event.shiftKey) return;
    event.preventDefault();
    open({ pk: link.dataset.pk }, { move: true });
  });
  $("back").addEventListener("click", (event) => { event.preventDefault(); leave(); });
  details.addEventListener("keydown", (event) => { if (event.key === "Escape") leave(); });
  window.addEventListener("popstate", () => {
    const query = new URLSearchParams(location.search);
    for (const box of form.querySelectorAll("input[type=checkbox]")) box.checked = query.getAll(box.name).includes(box.value);
    form.elements.power.value = query.get("power") || "";
    const at = (query.get("at") || "").split(",").map(Number);
    if (map && at.length === 3 && at.every(Number.isFinite)) map.jumpTo({ center: [at[1], at[0]], zoom: at[2] });
    filtersChanged();
    const ref = query.get("loc");
    if (ref && (!chosen || chosen.ref !== ref)) open({ ref }, { push: false });
    else if (!ref && (chosen || !details.hidden)) leave({ push: false });
  });

  document.body.classList.add("scripted");
  adopt();
  let drawn = false;
  try {
    if (config.library && window.maplibregl) {
      start();
      drawn = true;
    }
  } catch (error) {
    console.warn("the map cannot be drawn:", error);
    map = null;
  }
  if (!drawn) {
    document.body.classList.add("unmapped");
    $("no-map").hidden = false;
  }
  links();
  listen();
})();

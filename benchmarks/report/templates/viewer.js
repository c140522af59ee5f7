// Hands in 3D: drag or arrow keys turn, the wheel with Ctrl or the buttons come nearer.
(() => {
  "use strict";
  const resolved = (name) => {
    const probe = document.createElement("span");
    probe.style.color = `var(${name})`;
    document.body.append(probe);
    const value = getComputedStyle(probe).color;
    probe.remove();
    return value;
  };

  const bytes = (text) => Uint8Array.from(atob(text), (c) => c.charCodeAt(0));

  for (const box of document.querySelectorAll("[data-viewer]")) {
    const canvas = box.querySelector("canvas");
    const message = box.querySelector(".viewer-message");
    const data = JSON.parse(box.querySelector("script").textContent);
    let renderer;
    try {
      renderer = new THREE.WebGLRenderer({ canvas, antialias: true, alpha: true, preserveDrawingBuffer: true });
    } catch {
      message.textContent = "This browser shows no WebGL; the drawings beside the tables still hold.";
      message.hidden = false;
      continue;
    }
    renderer.setPixelRatio(Math.min(devicePixelRatio, 2));
    renderer.outputEncoding = THREE.sRGBEncoding;
    const scene = new THREE.Scene();
    const pivot = new THREE.Group();
    scene.add(pivot, new THREE.HemisphereLight(0xffffff, 0x8a8f98, 0.75));
    const light = new THREE.DirectionalLight(0xffffff, 0.55);
    light.position.set(0.4, 0.8, 1);
    scene.add(light);
    const camera = new THREE.PerspectiveCamera(30, 1, 0.001, 50);

    const faces = new Uint16Array(bytes(data.faces).buffer);
    const hands = data.hands.map((hand) => hand.map((one) => {
      const geometry = new THREE.BufferGeometry();
      const vertices = new Float32Array(bytes(one.vertices).buffer);
      geometry.setAttribute("position", new THREE.BufferAttribute(vertices, 3));
      geometry.setIndex(new THREE.BufferAttribute(faces, 1));
      geometry.computeVertexNormals();
      const material = new THREE.MeshLambertMaterial({ side: THREE.DoubleSide });
      if (one.subject === null) Object.assign(material, { transparent: true, opacity: 0.45, depthWrite: false });
      const mesh = new THREE.Mesh(geometry, material);
      mesh.userData = one;
      mesh.renderOrder = one.subject === null ? 1 : 0;
      pivot.add(mesh);
      return mesh;
    }));

    const state = { yaw: 0, pitch: 0, zoom: 1, hand: 0 };
    const controls = {
      shown: [...box.querySelectorAll("input[name=show]")],
      place: [...box.querySelectorAll("input[name=place]")],
      hand: box.querySelector("select[name=hand]"),
    };

    const dress = () => {
      for (const mesh of hands.flat()) {
        const { subject } = mesh.userData;
        mesh.material.color.set(resolved(subject === null ? "--target" : `--s${subject}`)).convertSRGBToLinear();
      }
      draw();
    };

    const arrange = () => {
      const placed = controls.place.find((one) => one.checked).value;
      const sphere = new THREE.Box3();
      hands.forEach((meshes, index) => meshes.forEach((mesh, i) => {
        mesh.visible = index === state.hand && controls.shown[i].checked;
        // Vertices are stored around the wrist; metres, OpenCV's y down and z forward.
        const wrist = mesh.userData.wrist, anchor = meshes[0].userData.wrist;
        const shift = placed === "wrist" ? [0, 0, 0] : wrist.map((x, k) => x - anchor[k]);
        mesh.position.set(...shift);
        if (mesh.visible) sphere.expandByObject(mesh);
      }));
      const centre = sphere.isEmpty() ? new THREE.Vector3() : sphere.getCenter(new THREE.Vector3());
      state.radius = sphere.isEmpty() ? 0.1 : Math.max(sphere.getSize(new THREE.Vector3()).length() / 2, 0.05);
      pivot.userData.centre = centre;
      draw();
    };

    const draw = () => {
      const { clientWidth: width, clientHeight: height } = canvas;
      if (!width || !height) return;
      renderer.setSize(width, height, false);
      camera.aspect = width / height;
      const distance = 1.1 * state.radius / Math.sin(Math.PI / 12) / Math.min(1, camera.aspect) / state.zoom;
      camera.position.set(0, 0, distance);
      camera.near = distance / 100;
      camera.far = distance + 10 * state.radius;
      camera.updateProjectionMatrix();
      // x right, y up, z towards the reader: OpenCV's frame turned by half a turn about x.
      const turn = new THREE.Euler(state.pitch, state.yaw, 0, "XYZ");
      pivot.quaternion.setFromEuler(turn).multiply(new THREE.Quaternion(1, 0, 0, 0));
      pivot.position.copy(pivot.userData.centre).applyQuaternion(pivot.quaternion).negate();
      renderer.render(scene, camera);
      box.dataset.drawn = `${state.yaw.toFixed(3)} ${state.pitch.toFixed(3)} ${state.zoom.toFixed(3)} ${state.hand}`;
    };

    let from = null;
    canvas.addEventListener("pointerdown", (event) => {
      from = [event.clientX, event.clientY];
      canvas.setPointerCapture(event.pointerId);
    });
    canvas.addEventListener("pointermove", (event) => {
      if (!from) return;
      state.yaw += (event.clientX - from[0]) * 0.01;
      state.pitch += (event.clientY - from[1]) * 0.01;
      from = [event.clientX, event.clientY];
      draw();
    });
    for (const end of ["pointerup", "pointercancel"]) canvas.addEventListener(end, () => { from = null; });
    canvas.addEventListener("wheel", (event) => {
      if (!event.ctrlKey) return;
      event.preventDefault();
      state.zoom *= Math.exp(-event.deltaY / 300);
      draw();
    }, { passive: false });
    canvas.addEventListener("keydown", (event) => {
      const step = { ArrowLeft: [-0.15, 0], ArrowRight: [0.15, 0], ArrowUp: [0, -0.15], ArrowDown: [0, 0.15] }[event.key];
      if (step) { state.yaw += step[0]; state.pitch += step[1]; }
      else if (event.key === "+" || event.key === "-") state.zoom *= event.key === "+" ? 1.25 : 0.8;
      else return;
      event.preventDefault();
      draw();
    });
    const views = { front: [0, 0], side: [Math.PI / 2, 0], top: [0, Math.PI / 2] };
    for (const button of box.querySelectorAll("[data-turn]")) {
      button.addEventListener("click", () => { [state.yaw, state.pitch] = views[button.dataset.turn]; draw(); });
    }
    for (const button of box.querySelectorAll("[data-zoom]")) {
      button.addEventListener("click", () => { state.zoom *= Number(button.dataset.zoom); draw(); });
    }
    [...controls.shown, ...controls.place].forEach((one) => one.addEventListener("change", arrange));
    controls.hand?.addEventListener("change", () => { state.hand = Number(controls.hand.value); arrange(); });
    new ResizeObserver(draw).observe(canvas);
    document.addEventListener("themechange", dress);
    arrange();
    dress();
  }
})();

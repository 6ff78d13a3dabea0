// How the clients start the server: the words of WORKDOCKET, then `serve`, on the database of this run.
const [command, ...words] = process.env.WORKDOCKET.split(" ");

export const NAMES = ["WORKDOCKET_DATABASE", "WORKDOCKET_ORDER_TYPES", "PYTHONPATH", "PATH", "HOME"];

export const env = Object.fromEntries(NAMES.filter((name) => process.env[name]).map((name) => [name, process.env[name]]));

export const server = (...options) => ({ command, args: [...words, "serve", ...options], env, stderr: "inherit" });

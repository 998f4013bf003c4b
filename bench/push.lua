-- Pushes: each request takes the next line "path<TAB>body" of a file and fills in @T@ (a time that always grows) and @S@ (a status).
-- Arguments: method, Authorization header, file, then the statuses that follow one another.
local targets, bodies, position, sent = {}, {}, 0, 0
local start, statuses = os.time(), {}

function init(args)
  wrk.method = args[1]
  wrk.headers["Authorization"] = args[2]
  wrk.headers["Content-Type"] = "application/json"
  for i = 4, #args do
    statuses[i - 3] = args[i]
  end
  for line in io.lines(args[3]) do
    local path, body = line:match("^([^\t]+)\t(.*)$")
    targets[#targets + 1], bodies[#bodies + 1] = path, body
  end
end

function request()
  position = position % #targets + 1
  sent = sent + 1
  local round = math.floor(sent / #targets)
  local time = os.date("!%Y-%m-%dT%H:%M:%S", start + math.floor(sent / 10000)) .. string.format(".%06dZ", sent % 10000 * 100)
  local body = bodies[position]:gsub("@T@", time):gsub("@S@", statuses[round % #statuses + 1])
  return wrk.format(nil, targets[position], nil, body)
end

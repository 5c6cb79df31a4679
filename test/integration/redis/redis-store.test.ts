import { storeContract } from '../../contract/store.contract.js'
import { openCluster, openStandalone, type RedisLab } from '../../support/redis-lab.js'

let standalone: RedisLab | undefined
let cluster: RedisLab | undefined

storeContract('RedisStore, standalone', () => (standalone ??= openStandalone()))
storeContract('RedisStore, cluster of 3', () => (cluster ??= openCluster()))
